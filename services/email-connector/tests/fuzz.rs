//! Mutated mails against the parser: any bytes give an item, soon and within bounded memory.
//!
//! `OUTCRY_FUZZ_SECONDS=600 cargo test --release -p outcry-email-connector --test fuzz` runs it for ten minutes; without the
//! variable it takes some seconds. `OUTCRY_FUZZ_SEED` starts another sequence. A binary of its own, because it watches
//! the memory of the whole process.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use outcry_domain::{Brand, CustomerKey, Item, Timestamp};
use outcry_email_connector::{FolderKind, ParseContext, parse_mail};
use std::{
    fs,
    time::{Duration, Instant},
};

/// What an input may cost beside ten times its size: tables that are built once, and what the allocator keeps.
const SPARE_BYTES: u64 = 64 << 20;

/// No input may take longer; builds without optimisation get more.
const MOST: Duration = if cfg!(debug_assertions) { Duration::from_secs(15) } else { Duration::from_secs(1) };

const MOST_BYTES: usize = 2 << 20;

const SEEDS: &[&str] = &[
    "From: Ana <ana@example.org>\r\nTo: help@acme.example\r\nSubject: =?utf-8?Q?L=C3=A4mpe?= =?iso-2022-jp?B?GyRCSlY2YhsoQg==?=\r\nDate: Mon, 2 Mar 2026 10:59:00 +0100\r\nMessage-ID: <1@x>\r\nReferences: <0@x>\r\n\r\nThe lamp is broken.\r\n\r\n-- \r\nAna\r\n",
    "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"a\"\r\n\r\n--a\r\nContent-Type: multipart/alternative; boundary=ab\r\n\r\n--ab\r\nContent-Type: text/plain; charset=gb2312; format=flowed; delsp=yes\r\n\r\nflowed \r\ntext\r\n--ab\r\nContent-Type: text/html; charset=windows-1250\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n<html><meta charset=3Dutf-8><table><tr><td>a<td>b</table><blockquote>q</blockquote><a href=3D'https://x.example'>l</a>=\r\n\r\n--ab--\r\n--a\r\nContent-Type: image/png; name*0*=utf-8''a%20; name*1=\"b.png\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"=?utf-8?B?w7wucG5n?=\"\r\n\r\nAAECAwQF\r\n--a--\r\n",
    "Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example\r\nSubject: failure notice\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nfailed <ana@example.org>: 5.1.1\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; ana@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <2@x>\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\ninner\r\n--b--\r\n",
    "From: a@example.org\r\nContent-Type: text/plain; charset=utf-7\r\n\r\nNo.\r\n\r\nOn Mon, Mar 2, 2026 at 10:15 AM Acme <help@acme.example> wrote:\r\n> Is it?\r\nYes.\r\n>> older\r\n\r\nVon: x\r\nGesendet: y\r\nAn: z\r\nBetreff: w\r\n\r\n-----Original Message-----\r\nFrom: x\r\n\r\nSent from my iPhone\r\nThis email and any attachments are confidential\r\n",
    "From: a@example.org\r\nContent-Type: text/plain\r\n\r\nbegin 644 a.txt\r\n%:&5L;&\\\r\n`\r\nend\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\nHash: SHA1\r\n\r\nx\r\n-----BEGIN PGP SIGNATURE-----\r\n-----END PGP SIGNATURE-----\r\n",
    "From: a@example.org\r\nContent-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:x\\, y\r\nDTSTART:20260302\r\nEND:VEVENT\r\n",
    "From: a@example.org\r\nContent-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n0=80=06=09*=86H=86=F7=0D=01=07=02=A0=800=80=02=01=011=000=80=06=09*=86H=86=F7=0D=01=07=01=A0=80$=80=04=04text=00=00\r\n",
    "From: a@example.org\r\nContent-Type: application/ms-tnef; name=winmail.dat\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nx=9F>\"=01=00=01=03=90=06=00@=00=00=00=01=00=00=00=02=01=09=10=01=00=00=00+=00=00=00-=00=00=00+=00=00=00LZFu=F1=C5=C7=A7=03=00=0A=00rcpg125B2=0A=F3 hel=09=00 bw=05=B0ld}=0A=80=0F=A0=00=00=02=02=90=06=00=04=00=00=00=01=00=00=00=01=00=02=10=80=01=00=02=00=00=00a=00a=00\r\n",
];

/// Pieces that mean something to a parser.
const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "--",
    "--a\r\n",
    "--a--\r\n",
    "=?utf-8?B?",
    "=?utf-8?Q?",
    "?=",
    "Content-Type: ",
    "multipart/mixed; boundary=",
    "message/rfc822\r\n\r\n",
    "charset=",
    "iso-2022-jp",
    "gb18030",
    "utf-16le",
    "hz-gb-2312",
    "base64\r\n",
    "quoted-printable\r\n",
    "<",
    ">",
    "\"",
    "\\",
    "(",
    ")",
    ":",
    ";",
    "=",
    "@",
    "<a@b>",
    "\u{1b}$B",
    "\u{1b}(B",
    "\0",
    "\u{feff}",
    "<table><tr><td>",
    "<div>",
    "<blockquote>",
    "<p>",
    "&#x1F600;",
    "&nbsp;",
    "{\\rtf1\\fromhtml1",
    "\\u-10179?",
    "{\\*\\htmltag64 <p>}",
    "> ",
    "On 2 Mar 2026 x <a@b> wrote:\n",
    "From: a@b\nSent: x\nTo: y\nSubject: z\n",
    "-- \n",
    "begin 644 a\n",
    "name*0*=utf-8''",
    "%FF",
];

struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % most.max(1)
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..(start + self.below(200)).min(length)
    }

    fn mutated(&mut self) -> Vec<u8> {
        let mut raw = SEEDS[self.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..=self.below(8) {
            self.mutate(&mut raw);
        }
        raw.truncate(MOST_BYTES);
        raw
    }

    fn mutate(&mut self, raw: &mut Vec<u8>) {
        let at = self.below(raw.len() + 1);
        match self.below(8) {
            0 => raw.truncate(at),
            1 => drop(raw.drain(self.range(raw.len()))),
            2 => raw.iter_mut().skip(at).take(1).for_each(|byte| *byte = 0),
            3 => {
                let byte = u8::try_from(self.below(256)).unwrap();
                raw.insert(at, byte);
            }
            4 | 5 => {
                let word = WORDS[self.below(WORDS.len())].as_bytes();
                raw.splice(at..at, word.iter().copied());
            }
            6 => {
                let other = SEEDS[self.below(SEEDS.len())].as_bytes();
                let range = self.range(other.len());
                raw.splice(at..at, other[range].iter().copied());
            }
            _ => {
                // Something many times over: what is quadratic shows.
                let piece = if self.below(2) == 0 {
                    WORDS[self.below(WORDS.len())].as_bytes().to_vec()
                } else {
                    raw[self.range(raw.len())].to_vec()
                };
                let most = [20, 400, 40_000][self.below(3)];
                let times = self.below(most).min(MOST_BYTES / piece.len().max(1));
                raw.splice(at..at, piece.repeat(times));
            }
        }
    }
}

fn parse(raw: &[u8], brand: &Brand, key: &CustomerKey) -> Item {
    let context = ParseContext {
        brand,
        source: "email:fuzz",
        folder: FolderKind::Inbound,
        location: None,
        internal_date: None,
        now: Timestamp::from_seconds(1_800_000_000),
        key,
        backfill: false,
        connector: "fuzz",
        whole_size: None,
    };
    parse_mail(raw, &context)
}

/// Bytes of one line of `/proc/self/status`.
fn memory(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
    value.split_whitespace().find_map(|word| word.parse::<u64>().ok()).unwrap() * 1024
}

fn from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn no_input_crashes_the_parser_or_takes_too_long_or_too_much_memory() {
    let brand: Brand = serde_json::from_str(r#"{"id":"acme","name":"Acme","own_domains":["acme.example"]}"#).unwrap();
    let key = CustomerKey::new(b"fuzz");
    SEEDS.iter().for_each(|seed| drop(parse(seed.as_bytes(), &brand, &key)));
    let seed = from_environment("OUTCRY_FUZZ_SEED", 0x9e37_79b9_7f4a_7c15).max(1);
    let until = Instant::now() + Duration::from_secs(from_environment("OUTCRY_FUZZ_SECONDS", 5));
    let mut random = Random(seed);
    let mut inputs = 0u64;
    while Instant::now() < until {
        let raw = random.mutated();
        // Sets the peak back to what is used now (proc(5)).
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = memory("VmRSS:");
        let begun = Instant::now();
        let item = parse(&raw, &brand, &key);
        let took = begun.elapsed();
        let grown = memory("VmHWM:").saturating_sub(before);
        let told = || {
            let file = std::env::temp_dir().join("outcry-fuzz-input.eml");
            fs::write(&file, &raw).unwrap();
            format!("input {inputs} of seed {seed}, {} bytes, kept in {}", raw.len(), file.display())
        };
        assert!(took < MOST, "{took:?}: {}", told());
        assert!(grown <= raw.len() as u64 * 10 + SPARE_BYTES, "{grown} bytes of memory: {}", told());
        let defects = &item.mail.as_ref().unwrap().defects;
        assert!(!defects.iter().any(|defect| defect.contains("could not be read; this is the raw text")), "{}", told());
        if inputs.is_multiple_of(16) {
            let json = serde_json::to_vec(&item).unwrap();
            assert_eq!(serde_json::from_slice::<Item>(&json).unwrap(), parse(&raw, &brand, &key), "{}", told());
        }
        inputs += 1;
    }
    println!("{inputs} inputs");
    assert!(inputs > 20);
}
