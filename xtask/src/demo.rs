//! The demonstration: one scheduler, three workers of three owners, one of them made to cheat; an
//! artist orders frames of the repository's scene; the books and the log say who earned what.

use crate::run::{cargo, root};
use crate::setup;
use anyhow::Context;
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long the scheduler may take to listen.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// How long the books may take to settle after the job.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(60);
/// The cheat comes first, so that it has delivered before anybody could have found it out.
const CHEAT: &str = "mallory";
const HONEST: [&str; 2] = ["ada", "bob"];

#[derive(clap::Args)]
pub struct Demo {
    #[arg(long, default_value = "512x288")]
    size: String,
    #[arg(long, default_value = "16")]
    samples: String,
    #[arg(long, default_value = "1-2")]
    frames: String,
}

/// Runs the demonstration; leaves the images and nothing else.
pub fn demo(what: &Demo) -> anyhow::Result<()> {
    setup::setup_to_run()?;
    let girih = build()?;
    let state = std::env::temp_dir().join(format!("girih-demo-{}", std::process::id()));
    std::fs::create_dir_all(&state)?;
    let mut farm = Farm { girih, state, server: String::new(), children: Vec::new() };
    let begun = Instant::now();
    let outcome = farm.play(what);
    let logs = outcome.as_ref().err().map(|_| farm.logs());
    let state = farm.state.clone();
    drop(farm);
    std::fs::remove_dir_all(&state)?;
    if let Some(logs) = logs {
        eprintln!("{logs}");
    }
    outcome?;
    println!("\nThat took {} s; nothing is left running.", begun.elapsed().as_secs());
    Ok(())
}

/// Builds the program and says where it is.
fn build() -> anyhow::Result<PathBuf> {
    eprintln!("building `girih` (the first time takes some minutes) ...");
    let mut command = cargo();
    command.args(["build", "--package", "cli", "--message-format=json-render-diagnostics"]);
    let output = command.stderr(Stdio::inherit()).output().context("cargo build")?;
    anyhow::ensure!(output.status.success(), "the build failed");
    let messages = String::from_utf8_lossy(&output.stdout);
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut programs = artifacts.filter(|artifact| artifact["target"]["name"] == "girih");
    let path = programs.find_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    path.context("cargo built no `girih`")
}

struct Farm {
    girih: PathBuf,
    state: PathBuf,
    server: String,
    children: Vec<(String, Child)>,
}

/// A name and the key that goes with it.
struct Account {
    name: &'static str,
    key: String,
}

impl Farm {
    fn play(&mut self, what: &Demo) -> anyhow::Result<()> {
        let operator = self.start_scheduler()?;
        let artist = self.account(&operator, "artist")?;
        self.ask(&operator.key, &["account", "top-up", "--account", "0", "10"])?;
        let id = self.ask(&artist.key, &["account", "show"])?["account_id"].to_string();
        self.ask(&operator.key, &["account", "top-up", "--account", &id, "100"])?;
        println!("A farm at {}; an artist with 100 credits.", self.server);
        let cheat = self.account(&operator, CHEAT)?;
        let [ada, bob] = HONEST.map(|name| self.account(&operator, name));
        let owners = [ada?, bob?, cheat];
        println!("Workers of {}, and of {CHEAT} who alters one block of each", HONEST.join(", "));
        println!("tile and comes first; the others join when the first altered tile is delivered.");
        let out = root().join("girih-demo");
        let mut submit = self.submit(&artist, what, &out)?;
        self.start_worker(&owners[2], Some("one-block"))?;
        self.first_tile(&artist, &mut submit)?;
        for honest in &owners[..2] {
            self.start_worker(honest, None)?;
        }
        let status = submit.wait()?;
        anyhow::ensure!(status.success(), "the job did not end well ({status})");
        println!("\nThe frames: {}/frame_*.exr and .png", out.display());
        self.settle(&artist)?;
        self.report(&operator, &artist, &owners)?;
        self.prove(&artist, &out)
    }

    fn start_scheduler(&mut self) -> anyhow::Result<Account> {
        let (state, file) = (self.state.join("farm"), self.state.join("address"));
        let mut command = self.command("");
        command.arg("scheduler").arg("--state").arg(&state);
        command.args(["--listen", "127.0.0.1:0", "--with-parent", "--address-file"]).arg(&file);
        self.start("scheduler", command)?;
        let begun = Instant::now();
        self.server = loop {
            if let Ok(text) = std::fs::read_to_string(&file) {
                break text.trim().to_owned();
            }
            self.check()?;
            anyhow::ensure!(begun.elapsed() < START_TIME_MAX, "the scheduler does not listen");
            std::thread::sleep(Duration::from_millis(20));
        };
        let key = std::fs::read_to_string(state.join("operator.key"))?.trim().to_owned();
        Ok(Account { name: "operator", key })
    }

    fn start_worker(&mut self, owner: &Account, cheat: Option<&str>) -> anyhow::Result<()> {
        let mut command = self.command(&owner.key);
        command.arg("worker").arg("--with-parent");
        command.arg("--data-dir").arg(self.state.join(owner.name));
        if let Some(cheat) = cheat {
            command.args(["--cheat", cheat]);
        }
        self.start(owner.name, command)
    }

    /// A call of `girih` that reads nobody's configuration.
    fn command(&self, key: &str) -> Command {
        let mut command = Command::new(&self.girih);
        command.env("GIRIH_CONFIG", self.state.join("none.toml")).env("GIRIH_KEY", key);
        command.env("XDG_DATA_HOME", self.state.join("data")).env("GIRIH_SERVER", &self.server);
        for other in ["GIRIH_CA", "GIRIH_PIN"] {
            command.env_remove(other);
        }
        command
    }

    fn start(&mut self, name: &str, mut command: Command) -> anyhow::Result<()> {
        let log = File::create(self.state.join(format!("{name}.log")))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.children.push((name.to_owned(), command.spawn().context("girih")?));
        Ok(())
    }

    /// The scheduler must still run.
    fn check(&mut self) -> anyhow::Result<()> {
        for (name, child) in &mut self.children {
            if let Some(status) = child.try_wait()?
                && name == "scheduler"
            {
                anyhow::bail!("the {name} ended ({status})");
            }
        }
        Ok(())
    }

    fn ask(&self, key: &str, words: &[&str]) -> anyhow::Result<Value> {
        let output = self.command(key).args(words).args(["--output", "json"]).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "girih {}: {said}", words.join(" "));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    fn account(&self, operator: &Account, name: &'static str) -> anyhow::Result<Account> {
        let made = self.ask(&operator.key, &["account", "create", name])?;
        let key = made["api_key"].as_str().context("no key came with the account")?.to_owned();
        Ok(Account { name, key })
    }

    /// Waits for the first tile that is delivered.
    fn first_tile(&mut self, artist: &Account, submit: &mut Child) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < SETTLE_TIME_MAX && submit.try_wait()?.is_none() {
            self.check()?;
            let jobs = self.ask(&artist.key, &["jobs"])?;
            if jobs["jobs"][0]["tiles_claimed"].as_u64().is_some_and(|claimed| claimed > 0) {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn submit(&self, artist: &Account, what: &Demo, out: &Path) -> anyhow::Result<Child> {
        let scenes = root().join("scenes");
        let mut command = self.command(&artist.key);
        command.arg("submit").arg(scenes.join("courtyard.glb"));
        command.arg("--env").arg(scenes.join("courtyard.hdr"));
        command.args(["--size", &what.size, "--samples", &what.samples]);
        command.args(["--frames", &what.frames, "--max-spend", "5", "--wait", "--out"]).arg(out);
        command.spawn().context("girih submit")
    }

    /// Audits may outlast the job's last tile: waits until no frame waits for its proof and the
    /// log says so: what was held for the job has gone back.
    fn settle(&self, artist: &Account) -> anyhow::Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < SETTLE_TIME_MAX {
            let jobs = self.ask(&artist.key, &["jobs"])?;
            let frames = jobs["jobs"][0]["frames"].as_array().cloned().unwrap_or_default();
            if frames.iter().all(|frame| frame["proven"] == true) && self.refunded()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        println!("Some audits are still under way.");
        Ok(())
    }

    fn refunded(&self) -> anyhow::Result<bool> {
        let key = std::fs::read_to_string(self.state.join("farm").join("log.vkey"))?;
        let verified = self.ask("", &["verify", "--forget", "--log-key", key.trim()])?;
        let mut balances = verified["balances"].as_array().into_iter().flatten();
        Ok(balances.any(|row| row["book"] == "hold:0" && row["amount"] == 0))
    }

    fn report(
        &self,
        operator: &Account,
        artist: &Account,
        owners: &[Account],
    ) -> anyhow::Result<()> {
        let job = &self.ask(&artist.key, &["jobs"])?["jobs"][0];
        println!(
            "The job: {} tiles accepted, {} refuted, {} of {} credits spent.",
            job["tiles_accepted"],
            job["tiles_refuted"],
            credits(&job["spent"]),
            credits(&job["max_spend"])
        );
        println!("\nWhat each owner earned:");
        for owner in owners {
            let balance = self.ask(&owner.key, &["balance"])?;
            let (held, payable) = (credits(&balance["held"]), credits(&balance["payable"]));
            println!("  {:8} held {held}, payable {payable}", owner.name);
        }
        let workers = self.ask(&operator.key, &["workers", "--all"])?;
        let workers = workers["workers"].as_array().cloned().unwrap_or_default();
        for worker in workers.iter().filter(|worker| worker["refuted"] == true) {
            let id = worker["worker_id"].to_string();
            println!("\nWhy worker {id} earned nothing:");
            let why = self.ask(&operator.key, &["explain", "worker", &id])?;
            for line in why["lines"].as_array().into_iter().flatten() {
                println!("  {}", line.as_str().unwrap_or_default());
            }
        }
        Ok(())
    }

    /// The log proves the books, and the receipt beside the frames proves the job.
    fn prove(&self, artist: &Account, out: &Path) -> anyhow::Result<()> {
        let key = std::fs::read_to_string(self.state.join("farm").join("log.vkey"))?;
        let verify = |words: &[&str]| {
            let mut command = self.command("");
            let status = command.args(["verify", "--log-key", key.trim()]).args(words).status()?;
            anyhow::ensure!(status.success(), "the log does not hold ({status})");
            Ok(())
        };
        println!("\ngirih verify, from the public log alone:");
        verify(&[])?;
        println!("\ngirih verify --receipt, from the files in {} alone:", out.display());
        let folder = out.display().to_string();
        self.ask(&artist.key, &["fetch", "0", "--out", &folder])?;
        verify(&["--receipt", &out.join("job_0.receipt").display().to_string()])
    }

    /// The last lines of every log.
    fn logs(&self) -> String {
        let mut text = String::new();
        for (name, _) in &self.children {
            let log = std::fs::read_to_string(self.state.join(format!("{name}.log")));
            let log = log.unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(15)..];
            text.push_str(&format!("--- {name}\n{}\n", last.join("\n")));
        }
        text
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn credits(micro: &Value) -> String {
    let micro = micro.as_u64().unwrap_or(0);
    format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000)
}
