//! Loading keys over https: cached, bounded, never given up for nothing.

use jsonwebtoken::Algorithm;

use super::*;
use crate::testing::{Answer, Server, Signer, jwks};

const DAY_S: u64 = 86_400;

struct Loaded {
    cached: Arc<JwksCache>,
    start: Instant,
}

impl Loaded {
    fn of(server: &Server) -> Self {
        Self::with(Fetcher::new(&server.url, Some(&server.ca_file)).unwrap())
    }

    fn with(fetcher: Fetcher) -> Self {
        let start = Instant::now();
        let cached = JwksCache::new("https://issuer", Source::Url(Box::new(fetcher)), None, DAY_S, start);
        Self { cached, start }
    }

    /// A token with an unknown key, so many seconds after the start. Returns whether it made or joined a load.
    async fn refresh(&self, at_s: u64) -> bool {
        match self.cached.refresh(self.start + Duration::from_secs(at_s)) {
            Some(running) => {
                ended(running).await;
                true
            }
            None => false,
        }
    }

    /// A token with a known key, and the end of the load that it starts.
    async fn used(&self, at_s: u64) {
        let at = self.start + Duration::from_secs(at_s);
        drop(self.cached.current(at));
        if let Some(running) = self.cached.refresh(at) {
            ended(running).await;
        }
    }

    fn ids(&self) -> Vec<String> {
        self.cached.current.load().keys.ids().map(str::to_owned).collect()
    }
}

async fn ended(mut load: LoadEnd) {
    assert!(load.changed().await.is_err());
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn keys_are_cached_and_refreshed_at_a_bounded_rate() {
    let (a, b) = (Signer::new("a", Algorithm::EdDSA), Signer::new("b", Algorithm::ES256));
    let folder = folder();
    let server = Server::start(folder.path(), Answer::Body(jwks(&[&a]))).await;
    let keys = Loaded::of(&server);
    assert!(keys.ids().is_empty(), "nothing is fetched before it is needed");
    #[rustfmt::skip]
    let table = [
        // at s  a load?  requests in all   keys then       what happens
        (0,      true,    1,                vec!["a"],      "the first token"),
        (0,      false,   1,                vec!["a"],      "an unknown key at once after it"),
        (9,      false,   1,                vec!["a"],      "still too soon, though the issuer has a new key"),
        (10,     true,    2,                vec!["a", "b"], "the pause is over"),
        (15,     false,   2,                vec!["a", "b"], "and the next one has begun"),
    ];
    for (at_s, loads, requests, ids, what) in table {
        if at_s == 9 {
            server.answers(Answer::Body(jwks(&[&a, &b])));
        }
        assert_eq!(keys.refresh(at_s).await, loads, "{what}");
        assert_eq!(
            (server.requests(), keys.ids()),
            (requests, ids.iter().map(|id| (*id).to_owned()).collect()),
            "{what}"
        );
    }
}

#[tokio::test]
async fn callers_that_miss_a_key_wait_for_one_load() {
    let folder = folder();
    let server = Server::start(folder.path(), Answer::Body(jwks(&[&Signer::new("a", Algorithm::EdDSA)]))).await;
    let keys = Loaded::of(&server);
    // On this one thread the load cannot end before all have asked.
    let waiting: Vec<_> = (0..100).map(|_| keys.cached.refresh(keys.start).expect("a load")).collect();
    for running in waiting {
        ended(running).await;
        assert_eq!(keys.ids(), ["a"]);
    }
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn old_keys_are_loaded_again_in_the_background() {
    let (a, b) = (Signer::new("a", Algorithm::EdDSA), Signer::new("b", Algorithm::EdDSA));
    let folder = folder();
    let server = Server::start(folder.path(), Answer::Body(jwks(&[&a]))).await;
    let keys = Loaded::of(&server);
    keys.refresh(0).await;
    server.answers(Answer::Body(jwks(&[&b])));
    drop(keys.cached.current(keys.start + Duration::from_secs(599)));
    assert!(
        keys.cached.loads.lock().unwrap().last.as_ref().unwrap().0 == keys.start,
        "young keys are used as they are"
    );
    let at = keys.start + Duration::from_secs(600);
    assert_eq!(keys.cached.current(at).ok().unwrap().keys.ids().next(), Some("a"), "the use itself does not wait");
    ended(keys.cached.refresh(at).expect("the load that the use began")).await;
    assert_eq!((server.requests(), keys.ids()), (2, vec!["b".to_owned()]), "a key taken away is gone");
}

#[tokio::test]
async fn last_good_keys_stay_whatever_the_server_answers() {
    let a = Signer::new("a", Algorithm::EdDSA);
    let folder = folder();
    let server = Server::start(folder.path(), Answer::Body(jwks(&[&a]))).await;
    let elsewhere = Server::start(tempfile::tempdir().unwrap().path(), Answer::Status(404)).await;
    let keys = Loaded::of(&server);
    keys.refresh(0).await;
    let mut large = jwks(&[&Signer::new("b", Algorithm::EdDSA)]);
    large.resize(256 * 1024 + 1, b' ');
    let table = [
        // answer                                               why it is no key set
        (Answer::Status(503), "an error"),
        (Answer::Status(204), "nothing"),
        (Answer::Body(b"<html>".to_vec()), "no JSON"),
        (Answer::Body(br#"{"keys": []}"#.to_vec()), "no key"),
        (Answer::Body(large), "too large"),
        (Answer::RedirectTo(elsewhere.url.clone()), "a redirect"),
        (Answer::RedirectTo(server.url.clone()), "a redirect to itself"),
    ];
    let mut at_s = 0;
    for (answer, why) in table {
        server.answers(answer);
        at_s += 700;
        let before = server.requests();
        keys.used(at_s).await;
        assert_eq!((server.requests(), keys.ids()), (before + 1, vec!["a".to_owned()]), "{why}");
    }
    assert_eq!(elsewhere.requests(), 0, "redirects are not followed");
    server.answers(Answer::Body(jwks(&[&a, &Signer::new("c", Algorithm::EdDSA)])));
    keys.used(at_s + 10).await;
    assert_eq!(keys.ids(), ["a", "c"], "a server that is well again is asked again after the pause");
}

#[tokio::test]
async fn last_good_keys_are_accepted_for_a_bounded_time() {
    let a = Signer::new("a", Algorithm::EdDSA);
    let folder = folder();
    let server = Server::start(folder.path(), Answer::Status(503)).await;
    let keys = Loaded::of(&server);
    let state = |at_s: u64| match keys.cached.current(keys.start + Duration::from_secs(at_s)) {
        Ok(_) => "good",
        Err("the keys of its issuer cannot be loaded at the moment") => "never loaded",
        Err("the keys of its issuer are too old: no newer ones could be loaded for a long time") => "too old",
        Err(other) => panic!("{other}"),
    };
    #[rustfmt::skip]
    let table = [
        // at s    the server answers           the keys are then
        (0,        Answer::Status(503),         "never loaded"),
        (10,       Answer::Body(jwks(&[&a])),   "good"),
        (1_000,    Answer::Status(503),         "good"),
        (86_410,   Answer::Status(503),         "good"),
        (86_411,   Answer::Status(503),         "too old"),
        (90_000,   Answer::Never,               "too old"),
        (99_000,   Answer::Body(jwks(&[&a])),   "good"),
    ];
    for (at_s, answer, expected) in table {
        let answers = !matches!(answer, Answer::Never);
        server.answers(answer);
        if answers {
            keys.used(at_s).await;
        }
        assert_eq!(state(at_s), expected, "at {at_s} s");
    }
}

#[tokio::test]
async fn version_changes_if_and_only_if_the_keys_do() {
    let (a, b) = (Signer::new("a", Algorithm::ES256), Signer::new("b", Algorithm::RS256));
    // Another key under the same id.
    let other_a = Signer::new("a", Algorithm::ES256);
    let folder = folder();
    let server = Server::start(folder.path(), Answer::Body(jwks(&[&a]))).await;
    let keys = Loaded::of(&server);
    keys.refresh(0).await;
    let mut seen = Vec::new();
    for (step, answer) in
        [jwks(&[&a]), jwks(&[&a, &b]), jwks(&[&a, &b]), jwks(&[&other_a, &b]), jwks(&[&a, &b])].into_iter().enumerate()
    {
        server.answers(Answer::Body(answer));
        keys.refresh((step as u64 + 1) * 10).await;
        seen.push(keys.cached.current(keys.start).ok().unwrap().version);
    }
    assert_eq!(seen, [1, 2, 2, 3, 4]);
}

#[tokio::test]
async fn keys_stay_absent_while_a_server_is_down_or_untrusted_and_are_fetched_again() {
    let a = Signer::new("a", Algorithm::EdDSA);
    let folder = folder();
    let server = Server::start(folder.path(), Answer::Status(503)).await;
    let keys = Loaded::of(&server);
    assert!(keys.refresh(0).await);
    assert!(keys.ids().is_empty());
    server.answers(Answer::Body(jwks(&[&a])));
    assert!(!keys.refresh(1).await, "the pause holds here too");
    assert!(keys.refresh(10).await);
    assert_eq!(keys.ids(), ["a"]);

    // The port is closed again.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let down = Fetcher::new(&format!("https://localhost:{port}/"), Some(&server.ca_file)).unwrap();
    let keys = Loaded::with(down);
    assert!(keys.refresh(0).await);
    assert!(keys.ids().is_empty());

    let other = tempfile::tempdir().unwrap();
    let stranger = Server::start(other.path(), Answer::Status(404)).await;
    let distrusting = Loaded::with(Fetcher::new(&server.url, Some(&stranger.ca_file)).unwrap());
    let before = server.requests();
    assert!(distrusting.refresh(0).await);
    assert!(distrusting.ids().is_empty());
    assert_eq!(server.requests(), before, "no request reaches a server whose certificate is not trusted");
}

#[tokio::test]
async fn file_is_read_at_start_and_again_when_it_has_changed() {
    let (a, b) = (Signer::new("a", Algorithm::EdDSA), Signer::new("b", Algorithm::EdDSA));
    let folder = folder();
    let path = folder.path().join("jwks.json");
    let start = Instant::now();
    let source = Source::File(path.clone());
    assert!(matches!(source.read().unwrap_err(), LoadError::File(..)));
    std::fs::write(&path, "nothing").unwrap();
    assert!(matches!(source.read().unwrap_err(), LoadError::Malformed));
    std::fs::write(&path, jwks(&[&a])).unwrap();
    let first = source.read().unwrap();
    let keys = Loaded { cached: JwksCache::new("https://issuer", source, first, DAY_S, start), start };
    assert_eq!(keys.ids(), ["a"]);
    std::fs::write(&path, jwks(&[&b])).unwrap();
    keys.used(5).await;
    assert_eq!(keys.ids(), ["b"]);
    std::fs::remove_file(&path).unwrap();
    keys.used(10).await;
    assert_eq!(keys.ids(), ["b"], "the last good keys stay");
}

#[tokio::test]
async fn removed_own_key_is_gone_even_if_it_was_the_last() {
    let folder = folder();
    let first = KeyFolder::add(folder.path()).unwrap();
    let start = Instant::now();
    let folder_keys = KeyFolder::open_or_create(folder.path()).unwrap();
    let set = Some(folder_keys.verifying().unwrap());
    let source = Source::Folder(folder_keys);
    let keys = Loaded { cached: JwksCache::new("feature-server", source, set, DAY_S, start), start };
    assert_eq!(keys.ids(), [first.id]);
    std::fs::remove_file(&first.path).unwrap();
    keys.used(60).await;
    assert!(keys.ids().is_empty());
    std::fs::write(folder.path().join("keys/2.pem"), "nothing").unwrap();
    keys.used(120).await;
    assert!(keys.ids().is_empty());
    let next = KeyFolder::add(folder.path()).unwrap();
    std::fs::remove_file(folder.path().join("keys/2.pem")).unwrap();
    keys.used(180).await;
    assert_eq!(keys.ids(), [next.id]);
}
