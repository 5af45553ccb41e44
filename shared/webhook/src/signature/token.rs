//! A token that is sent as it is: in the body, in the path, or as a bearer. The only proof that some providers give.

use super::{BadSecret, Unauthentic, raw_secrets};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// Compares a token with all active ones, in a time that tells nothing of them, not even their length.
pub struct SharedToken {
    digests: Vec<[u8; 32]>,
}

impl SharedToken {
    /// From the active tokens.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Result<Self, BadSecret> {
        Ok(Self { digests: raw_secrets(tokens)?.iter().map(|token| Sha256::digest(token).into()).collect() })
    }

    /// Whether the token is one of them.
    pub fn verify(&self, given: &str) -> Result<(), Unauthentic> {
        let given = Sha256::digest(given);
        let found = self.digests.iter().fold(Choice::from(0), |found, digest| found | digest.ct_eq(&given));
        if found.into() { Ok(()) } else { Err(Unauthentic::Mismatch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_active_token_opens_and_nothing_else_does() {
        let tokens = SharedToken::new(["45XXYYZZa08", "next"]).unwrap();
        assert_eq!(tokens.verify("45XXYYZZa08"), Ok(()));
        assert_eq!(tokens.verify("next"), Ok(()));
        for given in ["", "45XXYYZZa09", "45XXYYZZa0", "45XXYYZZa08 ", "45xxyyzza08"] {
            assert_eq!(tokens.verify(given), Err(Unauthentic::Mismatch), "{given:?}");
        }
        assert_eq!(SharedToken::new([" "]).err(), Some(BadSecret::Empty));
    }
}
