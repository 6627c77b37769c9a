//! Partitions: nft drops packets on the loopback interface, in one direction or both. A connection is neither closed
//! nor refused then; its packets just do not arrive.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::node::ADDRESSES;

/// The firewall's table of this campaign. It has no rule but those of the present partition.
const TABLE: &str = "inet feature_fleet";

/// The directions in which packets to and from a port are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// None arrives at the port, and none that it sends arrives anywhere.
    Both,
    /// None arrives at the port. What it sends arrives.
    Towards,
    /// None that it sends arrives. What others send to it does.
    From,
}

/// The partitions. Dropping it removes them.
pub struct Network;

impl Network {
    /// Without a partition.
    ///
    /// # Errors
    /// Also when nft or root rights are missing.
    pub fn new() -> Result<Self> {
        // The first line makes a table that is removed then, in case an earlier run has left one.
        nft(&format!(
            "table {TABLE}\ndelete table {TABLE}\ntable {TABLE} {{\n chain arriving {{\n type filter hook input \
             priority 0\n }}\n}}\n"
        ))
        .context("this campaign needs nft (Debian's nftables) and root")?;
        Ok(Self)
    }

    /// Cuts this port off from everything.
    pub fn cut_off(&self, port: u16, direction: Direction) -> Result<()> {
        let (towards, from) = (rule(&format!("tcp dport {port}")), rule(&format!("tcp sport {port}")));
        nft(&match direction {
            Direction::Both => [towards, from].concat(),
            Direction::Towards => towards,
            Direction::From => from,
        })
    }

    /// Cuts a server off from these ports of the database. `server`: from 0.
    pub fn cut_off_server(&self, server: usize, ports: &[u16]) -> Result<()> {
        let address = ADDRESSES[server + 1];
        let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        let towards = rule(&format!("ip daddr {address} tcp dport {{ {ports} }}"));
        nft(&[towards, rule(&format!("ip saddr {address} tcp sport {{ {ports} }}"))].concat())
    }

    /// Ends every partition.
    pub fn heal(&self) -> Result<()> {
        nft(&format!("flush chain {TABLE} arriving\n"))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Err(error) = nft(&format!("delete table {TABLE}\n")) {
            eprintln!("error: the firewall's table {TABLE} stays: {error:#}");
        }
    }
}

fn rule(packets: &str) -> String {
    format!("add rule {TABLE} arriving iif lo {packets} drop\n")
}

fn nft(commands: &str) -> Result<()> {
    let mut command = Command::new("nft");
    command.args(["-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut process = command.spawn().context("starting nft")?;
    process.stdin.take().context("standard input is piped")?.write_all(commands.as_bytes())?;
    let output = process.wait_with_output()?;
    ensure!(output.status.success(), "nft: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(())
}
