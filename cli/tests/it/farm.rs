//! A farm of real processes in a folder of its own. Everything it started ends with it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for anything.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Waits for a state that can be seen; fails by its name.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begun.elapsed() < PATIENCE, "waited too long for {what}");
        std::thread::park_timeout(Duration::from_millis(25));
    }
}

/// Whether there is a device to render on; says so if not.
pub fn has_device() -> bool {
    let output = program().args(["doctor", "--local", "--output", "json"]).output().unwrap();
    let here = output.status.code() != Some(3);
    if !here {
        println!("skipped: no Vulkan device");
    }
    here
}

/// `girih` with nothing said by the environment.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_girih"));
    for name in ["GIRIH_SERVER", "GIRIH_KEY", "GIRIH_CA", "GIRIH_PIN", "GIRIH_LOG_KEY"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null());
    command
}

/// The repository's scene and its sky.
pub fn scene() -> [PathBuf; 2] {
    let scenes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenes");
    ["courtyard.glb", "courtyard.hdr"].map(|name| scenes.join(name))
}

pub struct Farm {
    dir: TempDir,
    pub server: String,
    pub operator: String,
    scheduler: Option<Child>,
    workers: Vec<(String, Child)>,
}

impl Farm {
    /// A scheduler on a free port.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same with these settings besides.
    pub fn start_with(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = format!("lease_ms = 5000\njournal_segment_bytes = 1048576\n{more}");
        std::fs::write(dir.path().join("scheduler.toml"), settings).unwrap();
        let (server, operator) = (String::new(), String::new());
        let mut farm = Self { dir, server, operator, scheduler: None, workers: Vec::new() };
        farm.start_scheduler("127.0.0.1:0");
        let key = farm.path("state").join("operator.key");
        farm.operator = std::fs::read_to_string(key).unwrap().trim().to_owned();
        farm
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start_scheduler(&mut self, listen: &str) {
        let file = self.path("address");
        let _ = std::fs::remove_file(&file);
        let mut command = program();
        command.args(["scheduler", "--with-parent", "--listen", listen, "--settings"]);
        command.arg(self.path("scheduler.toml")).arg("--state").arg(self.path("state"));
        command.arg("--address-file").arg(&file);
        let mut child = self.log(&mut command, "scheduler").spawn().unwrap();
        self.server = wait_for("the scheduler to listen", || {
            let ended = child.try_wait().unwrap();
            assert!(ended.is_none(), "the scheduler ended: {}", self.said("scheduler"));
            std::fs::read_to_string(&file).ok()
        });
        self.scheduler = Some(child);
    }

    /// SIGKILL, and a new process on the same state and address.
    pub fn kill_and_restart_scheduler(&mut self) {
        let mut child = self.scheduler.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let listen = self.server.trim_start_matches("http://").to_owned();
        self.start_scheduler(&listen);
    }

    fn log<'a>(&self, command: &'a mut Command, name: &str) -> &'a mut Command {
        let path = self.path(&format!("{name}.log"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log)
    }

    /// What a process has said so far.
    pub fn said(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default()
    }

    /// A new account's key, with so many credits.
    pub fn account(&self, name: &str, credits: &str) -> String {
        let made = self.ask(&self.operator, &["account", "create", name]);
        if credits != "0" {
            let id = made["account_id"].to_string();
            self.ask(&self.operator, &["account", "top-up", credits, "--account", &id]);
        }
        made["api_key"].as_str().unwrap().to_owned()
    }

    /// A worker process of this key's owner; its data lies under its name.
    pub fn start_worker(&mut self, name: &str, key: &str, more: &[&str]) {
        let mut command = self.command(key);
        command.args(["worker", "--with-parent", "--data-dir"]).arg(self.path(name)).args(more);
        self.start_process(name, command);
    }

    /// A process that ends with the farm, under a name for what it says.
    pub fn start_process(&mut self, name: &str, mut command: Command) {
        let child = self.log(&mut command, name).spawn().unwrap();
        self.workers.push((name.to_owned(), child));
    }

    /// An account and a worker of each name, linked; the owners' keys.
    pub fn start_owners(&mut self, names: &[&str]) -> Vec<String> {
        let start = |name: &&str| {
            let key = self.account(name, "0");
            self.start_worker(name, &key, &[]);
            key
        };
        let keys = names.iter().map(start).collect();
        self.wait_for_workers(names.len());
        keys
    }

    /// SIGKILL for one worker.
    pub fn kill_worker(&mut self, name: &str) {
        let at = self.workers.iter().position(|(other, _)| other == name).unwrap();
        let (_, mut child) = self.workers.remove(at);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM for one worker; its exit code.
    pub fn drain_worker(&mut self, name: &str) -> Option<i32> {
        let at = self.workers.iter().position(|(other, _)| other == name).unwrap();
        let (_, mut child) = self.workers.remove(at);
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        wait_for("the worker to leave", || child.try_wait().unwrap()).code()
    }

    /// Waits until so many workers are linked.
    pub fn wait_for_workers(&self, count: usize) {
        wait_for("workers to link", || {
            let workers = self.ask(&self.operator, &["workers", "--all"]);
            let online = workers["workers"].as_array()?.iter();
            (online.filter(|worker| worker["online"] == true).count() >= count).then_some(())
        });
    }

    /// A call that reads nobody's configuration.
    pub fn command(&self, key: &str) -> Command {
        let mut command = program();
        command.env("GIRIH_CONFIG", self.path("none.toml")).env("XDG_DATA_HOME", self.path("data"));
        command.env("GIRIH_SERVER", &self.server).env("GIRIH_KEY", key);
        command
    }

    pub fn run(&self, key: &str, words: &[&str]) -> Output {
        self.command(key).args(words).args(["--output", "json"]).output().unwrap()
    }

    /// A call that must succeed; its JSON.
    pub fn ask(&self, key: &str, words: &[&str]) -> Value {
        let output = self.run(key, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "girih {words:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A call that must fail: its code, and what it said.
    pub fn fail(&self, key: &str, words: &[&str]) -> (i32, String) {
        let output = self.run(key, words);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), said + &String::from_utf8_lossy(&output.stdout))
    }

    /// Orders a small frame of the scene; the job's number.
    pub fn submit(&self, key: &str, more: &[&str]) -> u64 {
        let [scene, env] = scene();
        let mut words = vec!["submit", scene.to_str().unwrap(), "--env", env.to_str().unwrap()];
        words.extend(["--size", "96x64", "--depth", "4", "--max-spend", "2"]);
        if !more.contains(&"--samples") {
            words.extend(["--samples", "8"]);
        }
        words.extend(more);
        self.ask(key, &words)["job_id"].as_u64().unwrap()
    }

    pub fn job(&self, key: &str, job: u64) -> Value {
        let jobs = self.ask(key, &["jobs"]);
        let mut jobs = jobs["jobs"].as_array().unwrap().iter();
        jobs.find(|other| other["job_id"] == job).unwrap().clone()
    }

    /// Waits for the job's end and fetches its EXR files, in order of frames.
    pub fn finish(&self, key: &str, job: u64) -> Vec<Vec<u8>> {
        let ended = wait_for("the job to end", || {
            let job = self.job(key, job);
            (job["state"] != "open").then_some(job)
        });
        assert_eq!(ended["state"], "done", "{ended}");
        let out = self.path(&format!("job-{job}"));
        let fetched = self.ask(key, &["fetch", &job.to_string(), "--out", out.to_str().unwrap()]);
        let files = fetched["files"].as_array().unwrap().iter();
        let files = files.map(|file| PathBuf::from(file.as_str().unwrap()));
        let images: Vec<Vec<u8>> = files
            .filter(|file| file.extension().is_some_and(|end| end == "exr"))
            .map(|file| std::fs::read(file).unwrap())
            .collect();
        assert!(!images.is_empty());
        images
    }

    /// The public log must hold, whatever happened.
    pub fn verify(&self) -> Value {
        let key = std::fs::read_to_string(self.path("state").join("log.vkey")).unwrap();
        self.ask("", &["verify", "--log-key", key.trim()])
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        let workers = self.workers.iter_mut().map(|(_, child)| child);
        for child in workers.chain(&mut self.scheduler) {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for name in ["scheduler", "ada", "bob", "cyd", "mallory", "own"] {
                println!("--- {name}\n{}", self.said(name));
            }
        }
    }
}
