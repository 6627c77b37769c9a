//! JSON that was made of a message before: making it takes longer than all the rest of a call, and many ask for the same.

use std::fmt;

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// How much JSON is kept with the messages that it was made of, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// What an entry takes beside its bytes, at most about.
const ENTRY_BYTES: usize = 128;

/// The JSON of encoded messages of one type, made in one way. What is seldom asked for is forgotten first.
pub(crate) struct Remembered(Cache<Bytes, Bytes, Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<Bytes, Bytes> for Weight {
    fn weight(&self, message: &Bytes, json: &Bytes) -> u64 {
        (ENTRY_BYTES + message.len() + json.len()) as u64
    }
}

impl Remembered {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(MOST_BYTES as usize / 1024, MOST_BYTES, Weight))
    }

    /// The JSON of a message; what `make` makes of it the first time.
    ///
    /// # Errors
    /// Those of `make`, which are not remembered.
    pub(crate) fn json<E>(&self, message: &Bytes, make: impl FnOnce(Bytes) -> Result<Vec<u8>, E>) -> Result<Bytes, E> {
        if let Some(json) = self.0.get(message) {
            return Ok(json);
        }
        let json = Bytes::from(make(message.clone())?);
        // Copied, because the message as it came may keep a larger buffer in memory.
        self.0.insert(Bytes::copy_from_slice(message), json.clone());
        Ok(json)
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").field("messages", &self.0.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_made_once_and_memory_is_bounded() {
        let remembered = Remembered::new();
        let message = Bytes::from_static(b"message");
        let made = remembered.json(&message, |message| Ok::<_, ()>(message.to_vec()));
        assert_eq!(made, remembered.json(&message, |_| Err(())));
        for number in 0..10_000u32 {
            let message = Bytes::copy_from_slice(&number.to_be_bytes());
            assert_eq!(remembered.json(&message, |_| Err("no JSON")), Err("no JSON"));
            remembered.json(&message, |_| Ok::<_, ()>(vec![b' '; 1000])).unwrap();
        }
        assert!(remembered.0.weight() <= MOST_BYTES);
    }
}
