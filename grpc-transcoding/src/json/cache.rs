//! A cache of JSON texts: to write the JSON of a message takes longer than the rest of a call, and many answers are
//! equal.

use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// The size of all entries together, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// The overhead of an entry, in bytes; an upper estimate.
const ENTRY_BYTES: usize = 128;

/// The JSON texts of encoded messages of one type. Texts that are seldom used are evicted first.
#[derive(Debug)]
pub(crate) struct JsonCache(Cache<Bytes, Bytes, Weight>);

#[derive(Clone)]
struct Weight;

impl Weighter<Bytes, Bytes> for Weight {
    fn weight(&self, message: &Bytes, json: &Bytes) -> u64 {
        (ENTRY_BYTES + message.len() + json.len()) as u64
    }
}

impl JsonCache {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(MAX_BYTES as usize / 1024, MAX_BYTES, Weight))
    }

    /// The JSON of a message; `make` writes it if the cache does not have it. Its errors are not cached.
    pub(crate) fn json<E>(&self, message: &Bytes, make: impl FnOnce(Bytes) -> Result<Vec<u8>, E>) -> Result<Bytes, E> {
        if let Some(json) = self.0.get(message) {
            return Ok(json);
        }
        let json = Bytes::from(make(message.clone())?);
        // A copy, because the message may be a slice of a larger buffer.
        self.0.insert(Bytes::copy_from_slice(message), json.clone());
        Ok(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_cache_is_bounded() {
        let cache = JsonCache::new();
        let message = Bytes::from_static(b"message");
        let made = cache.json(&message, |message| Ok::<_, ()>(message.to_vec()));
        assert_eq!(made, cache.json(&message, |_| Err(())));
        for number in 0..10_000u32 {
            let message = Bytes::copy_from_slice(&number.to_be_bytes());
            assert_eq!(cache.json(&message, |_| Err("no JSON")), Err("no JSON"));
            cache.json(&message, |_| Ok::<_, ()>(vec![b' '; 1000])).unwrap();
        }
        assert!(cache.0.weight() <= MAX_BYTES);
    }
}
