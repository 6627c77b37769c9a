//! Valid texts with a few bytes changed at random, from a fixed seed.

use super::Input;

const SEED: u64 = 0x5eed_0f15_u64;
const PER_TEXT: usize = 80;
const BYTES: &[u8] = br#"{}[]":,\ 0159-+.eEnulltruefalseXu_/'"#;

const TEXTS: [(&str, &str); 4] = [
    (
        "zitadel.feature.v2.SetSystemFeaturesRequest",
        r#"{"loginDefaultOrg":true,"improvedPerformance":["IMPROVED_PERFORMANCE_PROJECT",1],"loginV2":{"required":false}}"#,
    ),
    (
        "zitadel.feature.v2.SetUserFeatureRequest",
        r#"{"userId":"u1","actions":false,"updateMask":"actions,loginV2.baseUri","expectedSequence":"12","validateOnly":true}"#,
    ),
    ("zitadel.feature.v2.LoginV2", r#"{"required":true,"baseUri":"https://example.com/\u00e4?q=1"}"#),
    (
        "kinds.Kinds",
        r#"{"double":-1.5e3,"time":"2024-02-29T12:30:45.123Z","duration":"-3.5s","texts":{"a":"b"},"any":{"@type":"x/kinds.Kinds"}}"#,
    ),
];

/// The texts, unchanged and changed.
pub fn all() -> Vec<Input> {
    let mut random = Random(SEED);
    let mut inputs = Vec::new();
    for (message, text) in TEXTS {
        inputs.push(Input::new(message, text));
        for _ in 0..PER_TEXT {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..=random.below(2) {
                change(&mut bytes, &mut random);
            }
            inputs.push(Input::new(message, bytes));
        }
    }
    inputs
}

fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(bytes.len());
    let byte = BYTES[random.below(BYTES.len())];
    match random.below(8) {
        0 => bytes.truncate(at.max(1)),
        1 | 2 => drop(bytes.remove(at)),
        3 | 4 => bytes.insert(at, byte),
        5 => bytes.insert(at, bytes[at]),
        _ => bytes[at] = byte,
    }
}

/// Xorshift: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}
