//! The search for a host, on hosts that are only names.

use std::future::pending;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::*;

/// How a host answers.
#[derive(Clone, Copy, PartialEq)]
enum Answer {
    Takes,
    Refuses,
    Silent,
}
use Answer::{Refuses, Silent, Takes};

fn hosts(count: u8) -> Hosts {
    let config = ClientConfig::builder_with_provider(default_provider().into());
    let config = config.with_safe_default_protocol_versions().unwrap();
    let tls = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
    let host = |number: u8| {
        let name = config::Host::Unix(number.to_string().into());
        Host::new(&Config::new(), name, 5432, SslMode::Disable)
    };
    Hosts::new((0..count).map(host).collect(), MakeRustlsConnect::new(tls))
}

/// Connects, where each host answers as the list says, and so long that two silent hosts take all the time. Returns
/// the host and the generation.
fn connect(hosts: &Hosts, answers: &[Answer]) -> Option<(usize, u64)> {
    let open = async |config: &Config, _: &MakeRustlsConnect| {
        let [config::Host::Unix(path)] = config.get_hosts() else { panic!("{config:?}") };
        let host: usize = path.to_str().unwrap().parse().unwrap();
        match answers[host] {
            Takes => Ok(host),
            Refuses => Err(Lost::NotConnected("refused".to_owned())),
            Silent => pending().await,
        }
    };
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { hosts.connect(Instant::now() + 2 * ADDRESS_DEADLINE, open).await.ok() })
}

#[test]
fn a_search_begins_behind_the_hosts_that_have_failed() {
    let hosts = hosts(4);
    assert_eq!(connect(&hosts, &[Silent, Silent, Silent, Takes]), None);
    assert_eq!(connect(&hosts, &[Silent, Silent, Refuses, Takes]), Some((3, 0)));
    hosts.leave(0);
    assert_eq!(connect(&hosts, &[Takes, Takes, Takes, Takes]), Some((0, 1)), "behind the last comes the first");
    assert_eq!(connect(&hosts, &[Takes, Takes, Takes, Takes]), Some((0, 1)), "all stay together");
    hosts.leave(0);
    assert_eq!(hosts.generation(), 1, "one of an earlier generation has nothing to leave");
}

#[test]
fn connections_of_one_generation_lead_to_one_host() {
    let hosts = hosts(3);
    assert_eq!(connect(&hosts, &[Takes, Takes, Takes]), Some((0, 0)));
    assert_eq!(connect(&hosts, &[Refuses, Refuses, Refuses]), None);
    assert_eq!(hosts.generation(), 0, "a refusal may be about one connection alone");
    assert_eq!(connect(&hosts, &[Refuses, Takes, Takes]), Some((1, 1)), "the others have to follow");
    assert_eq!(connect(&hosts, &[Takes, Takes, Takes]), Some((1, 1)));
    assert_eq!(connect(&hosts, &[Takes, Silent, Refuses]), Some((0, 2)), "those of a silent host are given up");
}

#[test]
fn one_host_is_tried_again() {
    let hosts = hosts(1);
    assert_eq!(connect(&hosts, &[Refuses]), None);
    assert_eq!(connect(&hosts, &[Takes]), Some((0, 0)));
    hosts.leave(0);
    assert_eq!(connect(&hosts, &[Takes]), Some((0, 1)));
}

#[test]
fn the_addresses_of_a_name_keep_their_order() {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let addresses = |name: &str| {
        let host = Host::new(&Config::new(), config::Host::Tcp(name.to_owned()), 5432, SslMode::Disable);
        let resolved = runtime.block_on(host.resolve()).unwrap();
        resolved.iter().map(|config| (config.get_hosts().to_vec(), config.get_hostaddrs()[0])).collect::<Vec<_>>()
    };
    assert_eq!(
        addresses("127.0.0.1"),
        [(vec![config::Host::Tcp("127.0.0.1".to_owned())], IpAddr::from([127, 0, 0, 1]))]
    );
    let local = addresses("localhost");
    assert!(local.is_sorted_by_key(|(_, address)| *address) && local.iter().all(|(_, address)| address.is_loopback()));
}
