//! Stratified cross-validation.

use super::random::Random;

/// The part of each text: every label is spread over all parts as evenly as its texts allow.
pub(crate) fn parts(label_of: &[u32], labels: usize, parts: usize) -> Vec<u8> {
    let mut of_label = vec![Vec::new(); labels];
    for (text, label) in label_of.iter().enumerate() {
        of_label[*label as usize].push(text);
    }
    let mut random = Random::new(0x0dd5);
    let mut part_of = vec![0; label_of.len()];
    // Where one label ends the next begins, so that the parts are of one size.
    let mut next = 0;
    for texts in &mut of_label {
        random.shuffle(texts);
        for text in texts {
            part_of[*text] = (next % parts) as u8;
            next += 1;
        }
    }
    part_of
}

/// Texts to learn from and texts to be asked, when `part` is held out.
pub(crate) fn split(part_of: &[u8], part: u8) -> (Vec<u32>, Vec<u32>) {
    let (held_out, learn): (Vec<usize>, Vec<usize>) = (0..part_of.len()).partition(|text| part_of[*text] == part);
    let numbers = |texts: Vec<usize>| texts.into_iter().map(|text| text as u32).collect();
    (numbers(learn), numbers(held_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_in_every_part_and_every_text_in_one() {
        let label_of: Vec<u32> = (0..103).map(|text| u32::from(text % 9 == 0)).collect();
        let part_of = parts(&label_of, 2, 5);
        for part in 0..5 {
            let (learn, held_out) = split(&part_of, part);
            assert_eq!(learn.len() + held_out.len(), 103);
            assert!((20..=21).contains(&held_out.len()));
            let rare = held_out.iter().filter(|text| label_of[**text as usize] == 1).count();
            assert!((2..=3).contains(&rare), "{rare}");
        }
        assert_eq!(part_of, parts(&label_of, 2, 5));
    }
}
