//! The container image in `deploy/`: hadolint accepts it, and the server runs in its layout. No image is built.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::support::client_programs::{grpcurl, hadolint, run};
use crate::support::harness::{BINARY, limited};

const CONTAINERFILE: &str = include_str!("../../../deploy/Containerfile");

/// What the base image has for a program of Rust. Every other file of it the server can do without.
const LIBRARIES: [&str; 4] = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-"];

/// A user that no machine knows.
const USER: u32 = 48_217;

/// The last instruction of this name, in one line.
fn instruction(name: &str) -> String {
    let text = CONTAINERFILE.replace("\\\n", " ");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    lines.next_back().unwrap_or_else(|| panic!("the image has {name}")).to_owned()
}

/// The words of an instruction in the form that needs no shell.
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("{json} is a list of words: {error}"))
}

/// The shared libraries of the server with their paths.
fn libraries() -> Vec<String> {
    let listed = run(limited("ldd").arg(BINARY));
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned);
    let paths: Vec<_> = paths.collect();
    for path in &paths {
        let name = path.rsplit('/').next().expect("a path has a name");
        assert!(LIBRARIES.iter().any(|library| name.starts_with(library)), "{path} is not in the base image");
    }
    paths
}

/// A volume, and how the variables of the container change with it.
struct Volume {
    owner: u32,
    mode: u32,
    variables: &'static [(&'static str, &'static str)],
}

/// The server as a container: a root file system with nothing but its layout, no right to write to it, no capability,
/// no network but a loopback of its own, and process 1.
struct Container {
    sandbox: Child,
    server: Pid,
    /// Standard output. The server gets SIGPIPE when nothing reads it.
    _output: BufReader<ChildStdout>,
}

impl Container {
    /// Starts it and waits until it listens.
    fn start(files: &Path, volume: &Path, variables: &[(&str, &str)]) -> Self {
        let user = USER.to_string();
        let mut command = if geteuid().is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "bwrap"]);
            command
        } else {
            Command::new("bwrap")
        };
        command.args(["--unshare-all", "--as-pid-1", "--die-with-parent", "--clearenv", "--proc", "/proc"]);
        command.args(["--dev", "/dev", "--tmpfs", "/tmp"]);
        for library in libraries() {
            command.args(["--ro-bind", &library, &library]);
        }
        let entrypoint = words(&instruction("ENTRYPOINT"));
        command.arg("--ro-bind").arg(files.join("feature-server")).arg(&entrypoint[0]);
        command.arg("--bind").arg(volume).arg(instruction("VOLUME"));
        let workdir = instruction("WORKDIR");
        command.args(["--dir", &workdir, "--chdir", &workdir, "--remount-ro", "/"]);
        let set = instruction("ENV");
        let set = set.split_whitespace().filter_map(|word| word.split_once('='));
        for (name, value) in set.chain(variables.iter().copied()) {
            command.args(["--setenv", name, value]);
        }
        command.args(entrypoint).args(words(&instruction("CMD")));
        let mut sandbox = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("setpriv or bwrap starts");
        let mut output = BufReader::new(sandbox.stdout.take().expect("it is piped"));
        let mut line = String::new();
        while !line.contains("listening on ") {
            line.clear();
            let length = output.read_line(&mut line).expect("the output is text");
            assert!(length > 0, "the server has ended: {:?}", sandbox.wait());
        }
        let children = format!("/proc/{0}/task/{0}/children", sandbox.id());
        let children = fs::read_to_string(children).expect("the kernel lists children");
        let server = children.trim().parse().ok().and_then(Pid::from_raw).expect("the sandbox has one child");
        Self { sandbox, server, _output: output }
    }

    /// A program of this machine in the network of the container.
    fn enter(&self, program: &Command) -> Command {
        let mut command = limited("nsenter");
        command.arg("--target").arg(self.server.as_raw_nonzero().to_string()).arg("--net");
        if !geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg(program.get_program()).args(program.get_args());
        command
    }

    /// Runs the image's own check of health, with the container's files, network, user and variables.
    fn check_health(&self) {
        let instruction = instruction("HEALTHCHECK");
        let (_, check) = instruction.split_once(" CMD ").expect("the check is a command");
        let server = self.server.as_raw_nonzero().to_string();
        let variables = fs::read_to_string(format!("/proc/{server}/environ")).expect("the server runs");
        let mut command = limited("nsenter");
        command.args(["--target", &server, "--net", "--mount", "--pid", "--root", "--wd"]);
        if geteuid().is_root() {
            command.args(["--setuid", &USER.to_string(), "--setgid", &USER.to_string()]);
        } else {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.env_clear().envs(variables.split_terminator('\0').filter_map(|variable| variable.split_once('=')));
        run(command.args(words(check)));
    }

    /// Sends the signal that stops a container. Returns the exit code.
    fn stop(mut self) -> Option<i32> {
        assert_eq!(instruction("STOPSIGNAL"), "SIGTERM");
        kill_process(self.server, Signal::TERM).expect("the server runs");
        self.sandbox.wait().expect("the sandbox is ours").code()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // Fails if it has ended already. The server dies with its sandbox.
        let _ = self.sandbox.kill();
        let _ = self.sandbox.wait();
    }
}

#[test]
fn hadolint_accepts_the_containerfile() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("Containerfile");
    let table = [
        // (additional lines, whether hadolint complains)
        ("", false),
        ("USER root\n", true),
    ];
    for (more, complains) in table {
        fs::write(&file, [CONTAINERFILE, more].concat()).expect("the folder is writable");
        let output = hadolint().arg(&file).output().expect("hadolint starts");
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(!output.status.success(), complains, "{said}");
    }
}

#[test]
fn server_runs_in_the_layout_of_the_image() {
    let table = [
        // A volume of the image's user.
        Volume { owner: USER, mode: 0o700, variables: &[] },
        // A volume as Kubernetes makes it: it belongs to root, and its group may write.
        Volume {
            owner: 0,
            mode: 0o2770,
            variables: &[("FEATURE_SERVER__SERVER__DATA", "/var/lib/feature-server/data")],
        },
    ];
    for Volume { owner, mode, variables } in table {
        let files = tempfile::tempdir().expect("a temporary folder");
        let volume = files.path().join("volume");
        fs::create_dir(&volume).expect("the folder is new");
        // The user of the container cannot enter every folder in which developers build.
        fs::copy(BINARY, files.path().join("feature-server")).expect("the binary is copied");
        fs::set_permissions(files.path(), Permissions::from_mode(0o755)).expect("it is ours");
        if geteuid().is_root() {
            chown(&volume, Some(owner), Some(USER)).expect("root may");
        }
        fs::set_permissions(&volume, Permissions::from_mode(mode)).expect("it is ours");
        let more = [
            ("FEATURE_SERVER__SERVER__ALLOW_CLEARTEXT", "true"),
            // grpcurl asks for the message types.
            ("FEATURE_SERVER__SERVER__REFLECTION", "everybody"),
            // The log goes to the terminal.
            ("FEATURE_SERVER__LOG__FILTER", "error"),
        ];
        for start in ["first", "second"] {
            let container = Container::start(files.path(), &volume, &[variables, &more].concat());
            let mut health = grpcurl();
            health.args(["-plaintext", "127.0.0.1:8080", "grpc.health.v1.Health/Check"]);
            let said = run(&mut container.enter(&health));
            assert!(said.contains("\"SERVING\""), "{said}");
            container.check_health();
            assert_eq!(container.stop(), Some(0), "after the {start} start");
        }
    }
}
