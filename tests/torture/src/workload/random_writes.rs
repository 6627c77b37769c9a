//! Random writes: values, masks, resets, moves. The same generator state gives the same writes.

use fastrand::Rng;

use super::Values;
use super::feature::{LOGIN, LOGIN_PARTS, Layer, Level, PATHS, Value};
use super::write::{Operation, Set, State, Write};

/// The number of organizations between which users move.
const ORGANIZATIONS: u32 = 4;

/// The maximum length of a URI, in characters.
const URI_CHARACTERS: usize = 2048;

/// The valid numbers of `ImprovedPerformance`.
const PATH_NUMBERS: std::ops::RangeInclusive<i32> = 1..=5;

/// A write to a scope in this state. The scope has no other writer.
pub fn write(rng: &mut Rng, level: Level, state: &State, values: Values) -> Write {
    let operation = if values == Values::Mixed && rng.u8(..10) == 0 {
        Operation::Reset
    } else {
        let mut set = match values {
            Values::Mixed => set(rng, level),
            Values::Large => Set { features: large_login(rng), ..Set::default() },
        };
        // A third of the writes names a sequence, and a quarter of those a wrong one.
        set.expected_sequence = match rng.u8(..12) {
            0..3 => Some(state.sequence),
            3 => Some(state.sequence + rng.u64(1..3)),
            _ => None,
        };
        set.validate_only = rng.u8(..20) == 0;
        Operation::Set(set)
    };
    let moves = level == Level::User && rng.u8(..4) == 0;
    let organization = moves.then(|| format!("organization-{}", rng.u32(..ORGANIZATIONS)));
    Write { operation, organization }
}

/// A write to a scope with several writers. It requires the sequence of this state, and its result differs from the
/// result of every other write.
pub fn contested(rng: &mut Rng, level: Level, state: &State) -> Set {
    let mut set = set(rng, level);
    let base_uri = Some(uri(rng, 64));
    set.features.insert(LOGIN, Value::Login { required: rng.bool(), base_uri });
    set.mask = set.mask.map(|mask| [mask, vec![LOGIN]].concat());
    set.expected_sequence = Some(state.sequence);
    set
}

fn set(rng: &mut Rng, level: Level) -> Set {
    let names: Vec<_> = level.features().collect();
    let mut features = Layer::new();
    for _ in 0..rng.usize(1..4) {
        let name = names[rng.usize(..names.len())];
        features.insert(name, value(rng, name));
    }
    let mask = match rng.u8(..8) {
        0..4 => return Set { features, ..Set::default() },
        // The write unsets every masked feature that is absent.
        4 => vec!["*"],
        5 => vec![LOGIN_PARTS[rng.usize(..2)]],
        6 => [features.keys().copied().collect(), vec![names[rng.usize(..names.len())], LOGIN_PARTS[rng.usize(..2)]]]
            .concat(),
        _ => (0..rng.usize(1..6)).map(|_| names[rng.usize(..names.len())]).collect(),
    };
    if mask.len() == 1 && rng.u8(..4) != 0 {
        features.insert(LOGIN, value(rng, LOGIN));
    }
    Set { features, mask: Some(mask), ..Set::default() }
}

fn value(rng: &mut Rng, name: &str) -> Value {
    match name {
        PATHS => {
            let mut paths: Vec<_> = PATH_NUMBERS.collect();
            rng.shuffle(&mut paths);
            paths.truncate(rng.usize(1..=paths.len()));
            Value::Paths(paths)
        }
        LOGIN => {
            let characters = if rng.u8(..4) == 0 { URI_CHARACTERS } else { 64 };
            let base_uri = (rng.u8(..3) != 0).then(|| uri(rng, characters));
            Value::Login { required: rng.bool(), base_uri }
        }
        _ => Value::Flag(rng.bool()),
    }
}

fn large_login(rng: &mut Rng) -> Layer {
    let base_uri = Some(uri(rng, URI_CHARACTERS));
    Layer::from([(LOGIN, Value::Login { required: rng.bool(), base_uri })])
}

/// A unique URI of this length.
fn uri(rng: &mut Rng, characters: usize) -> String {
    let unique = format!("https://login.example.com/{:016x}", rng.u64(..));
    format!("{unique:/<characters$}")
}
