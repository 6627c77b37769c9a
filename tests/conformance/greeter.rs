//! The greeter as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use prost_reflect::DescriptorPool;
use tempfile::TempDir;

/// The maximum time of a start, or until the greeter prints a line.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running greeter. Dropping it kills the process.
pub struct Greeter {
    process: Child,
    lines: Receiver<String>,
    url: String,
    folder: TempDir,
}

impl Greeter {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("greeter.binpb"), descriptors()).expect("the descriptors are written");
        let test = std::env::current_exe().expect("the test has a path");
        let target = test.ancestors().nth(2).expect("the test is in a subfolder of the target folder");
        let program = target.join("examples/greeter");
        assert!(program.exists(), "{} is missing; `cargo test -p grpc-transcoding` builds it", program.display());
        let mut process = Command::new(program)
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the greeter starts");
        let stdout = process.stdout.take().expect("standard output is piped");
        let (sender, lines) = channel();
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        let first = lines.recv_timeout(PATIENCE).expect("the greeter prints its address");
        let url = first.strip_suffix("/openapi.json").expect("an address").to_owned();
        Self { process, lines, url, folder }
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A file with the descriptors of its service.
    pub fn descriptors(&self) -> String {
        self.folder.path().join("greeter.binpb").display().to_string()
    }

    /// Waits until it has printed a line this many times.
    pub fn wait_for(&self, line: &str, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        let mut found = 0;
        while found < times {
            let rest = deadline.saturating_duration_since(Instant::now());
            let printed = self.lines.recv_timeout(rest);
            let printed = printed.unwrap_or_else(|error| panic!("'{line}' {found} times, not {times}: {error}"));
            found += usize::from(printed == line);
        }
    }
}

impl Drop for Greeter {
    fn drop(&mut self) {
        // Both fail if the process has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn descriptors() -> Vec<u8> {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = protox::Compiler::new([crate_folder.join("examples"), crate_folder.join("../proto")])
        .expect("the folders of the protos exist");
    compiler.include_imports(true).open_file("greeter.proto").expect("the proto compiles");
    let pool = DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).expect("valid descriptors");
    pool.encode_to_vec()
}
