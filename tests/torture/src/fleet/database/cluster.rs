//! Three PostgreSQL servers with one leader and one *named* synchronous standby, and a failover by hand.
//!
//! Only the named standby is promoted: it has every acknowledged commit. The third one has them a moment later.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio_postgres::Client;

use super::node::{ADDRESSES, Node};
use super::session::{PATIENCE, until};
use crate::disk::device::Device;

/// The database of the servers.
pub const DATABASE: &str = "feature";

/// How long a standby may take to follow a new leader. One that was ahead of it never does, and gets a new copy.
const FOLLOWS: Duration = Duration::from_secs(3);

/// The node with a small disk, which may become full.
pub const SMALL_DISK: usize = 0;

/// The servers. Dropping it kills them.
pub struct Cluster {
    nodes: Vec<Node>,
    leader: usize,
    /// The synchronous standby.
    named: usize,
    _folder: TempDir,
}

impl Cluster {
    /// Makes and starts all three.
    pub async fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        // PostgreSQL runs as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
        let ports = free_ports(3)?;
        let node = |(number, port): (usize, &u16)| {
            let device = if number == SMALL_DISK { Some(small_disk()?) } else { None };
            Node::new(folder.path(), number, *port, device)
        };
        let nodes = ports.iter().enumerate().map(node).collect::<Result<Vec<_>>>()?;
        let mut cluster = Self { nodes, leader: 0, named: 1, _folder: folder };
        cluster.leader().init().await?;
        cluster.nodes[0].configure(None, "")?;
        cluster.nodes[0].start(false).await?;
        let client = cluster.leader().connect("postgres").await?;
        client.batch_execute(&format!("CREATE DATABASE {DATABASE}")).await?;
        cluster.rebuild(1).await?;
        cluster.rebuild(2).await?;
        cluster.acknowledge_with_standby(true).await?;
        Ok(cluster)
    }

    /// The leader.
    pub fn leader(&self) -> &Node {
        &self.nodes[self.leader]
    }

    /// The number of the leader.
    pub fn leader_number(&self) -> usize {
        self.leader
    }

    /// A node by its number.
    pub fn node(&mut self, number: usize) -> &mut Node {
        &mut self.nodes[number]
    }

    /// The ports of all nodes.
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(|node| node.port).collect()
    }

    /// The URL for a server, which has an address of its own on each node.
    pub fn url(&self, server: usize) -> String {
        url(server, &self.ports())
    }

    /// A connection of the campaign to the servers' database on the leader.
    pub async fn client(&self) -> Result<Client> {
        self.leader().connect(DATABASE).await
    }

    /// Lets the leader acknowledge a commit only when the named standby has it, or without waiting.
    pub async fn acknowledge_with_standby(&self, waits: bool) -> Result<()> {
        let named = if waits { self.nodes[self.named].name } else { "" };
        self.leader().configure(None, named)?;
        self.leader().reload().await
    }

    /// Makes the named standby the leader, and the third node its named standby. Returns the number of the old leader,
    /// which the caller has stopped, or stops when it likes.
    pub async fn fail_over(&mut self) -> Result<usize> {
        let (old, new, other) = (self.leader, self.named, 3 - self.leader - self.named);
        self.nodes[new].configure(None, self.nodes[other].name)?;
        self.nodes[new].reload().await?;
        self.nodes[new].promote().await?;
        (self.leader, self.named) = (new, other);
        self.nodes[other].configure(Some(&self.nodes[new]), self.nodes[old].name)?;
        self.nodes[other].reload().await?;
        let follows = async || self.nodes[other].follows(&self.nodes[new]).await;
        if until("the other standby follows", FOLLOWS, follows).await.is_err() {
            self.rebuild(other).await?;
        }
        Ok(old)
    }

    /// Makes a new standby of a node, from a copy of the leader's data.
    pub async fn rebuild(&mut self, number: usize) -> Result<()> {
        let [node, leader] = self.nodes.get_disjoint_mut([number, self.leader]).context("a leader has no leader")?;
        node.kill().await?;
        node.copy_from(leader).await?;
        node.configure(Some(leader), leader.name)?;
        node.start(true).await?;
        until("the new standby follows", PATIENCE, async || node.follows(leader).await).await
    }
}

/// The URL of a database on these ports, for a server.
pub fn url(server: usize, ports: &[u16]) -> String {
    let hosts: Vec<_> = ports.iter().map(|port| format!("{}:{port}", ADDRESSES[server + 1])).collect();
    format!("postgres://postgres@{}/{DATABASE}", hosts.join(","))
}

/// Ports that are free now.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners = (0..count).map(|_| std::net::TcpListener::bind("127.0.0.1:0"));
    let listeners = listeners.collect::<Result<Vec<_>, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

fn small_disk() -> Result<Device> {
    let device = Device::new(&["-m", "0"], "noatime")?;
    let path = device.path();
    let parent = path.parent().context("the mount point is in a folder")?;
    fs::set_permissions(parent, fs::Permissions::from_mode(0o711))?;
    Ok(device)
}
