//! `girih doctor`: looks at the loader, drivers, devices, disk and farm, and says how to mend what
//! is broken.

use crate::args::Doctor;
use crate::config::{self, Access};
use crate::exit::Exit;
use crate::output::Form;
use proto::v1;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use worker::channel::Address;
use worker::vulkan::{self, DeviceKind, VulkanError};

/// Free space below which a worker will soon be in trouble.
const FREE_BYTES_MIN: u64 = 2 << 30;
/// Difference of clocks worth a word; nothing depends on it.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(120);

/// How a look turned out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Good,
    /// Works, but may disappoint.
    Doubtful,
    Broken,
}

/// One thing looked at.
struct Finding {
    what: &'static str,
    state: State,
    found: String,
    mend: String,
    exit: Exit,
}

impl Finding {
    fn good(what: &'static str, found: impl Into<String>) -> Self {
        let (found, mend) = (found.into(), String::new());
        Self { what, state: State::Good, found, mend, exit: Exit::Ok }
    }

    fn bad(
        what: &'static str,
        state: State,
        exit: Exit,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { what, state, found: found.into(), mend: mend.into(), exit }
    }

    fn line(&self) -> String {
        let sign = match self.state {
            State::Good => "ok     ",
            State::Doubtful => "doubt  ",
            State::Broken => "BROKEN ",
        };
        let mut line = format!("{sign}{}: {}", self.what, self.found);
        if !self.mend.is_empty() {
            line.push_str(&format!(
                "\n         mend: {}",
                self.mend.replace('\n', "\n               ")
            ));
        }
        line
    }

    fn to_json(&self) -> Value {
        let state = match self.state {
            State::Good => "ok",
            State::Doubtful => "doubtful",
            State::Broken => "broken",
        };
        json!({ "what": self.what, "state": state, "found": self.found, "mend": self.mend })
    }
}

/// `girih doctor`.
pub async fn run(access: &Access, form: Form, what: Doctor) -> anyhow::Result<Exit> {
    let data_dir = what.data_dir.unwrap_or_else(|| config::data_dir().join("worker"));
    let mut findings = tokio::task::spawn_blocking(devices).await?;
    findings.push(disk(&data_dir));
    if !what.local {
        match access.address() {
            Ok(address) => findings.extend(farm(&address).await),
            Err(error) => findings.push(Finding::bad(
                "configuration",
                State::Broken,
                Exit::Usage,
                error.to_string(),
                "correct the file or name the values as flags",
            )),
        }
    }
    let broken = findings.iter().find(|finding| finding.state == State::Broken);
    let exit = broken.map_or(Exit::Ok, |finding| finding.exit);
    let lines = || findings.iter().map(Finding::line).collect::<Vec<_>>().join("\n");
    let value = || {
        json!({
            "ok": exit == Exit::Ok,
            "findings": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
        })
    };
    form.say(lines, value)?;
    Ok(exit)
}

/// The package lines for each family of systems.
fn packages(debian: &str, fedora: &str, arch: &str) -> String {
    format!(
        "Debian, Ubuntu: sudo apt-get install {debian}\n\
         Fedora: sudo dnf install {fedora}\nArch: sudo pacman -S {arch}"
    )
}

fn devices() -> Vec<Finding> {
    let mut findings = vec![drivers()];
    match vulkan::devices() {
        Ok(found) => {
            findings.extend(found.iter().map(|info| {
                let text = format!(
                    "{}: {} ({}), Vulkan {}.{}, {} MiB of memory, {} MiB in a buffer",
                    info.index,
                    info.name,
                    info.driver,
                    info.api.0,
                    info.api.1,
                    info.memory_bytes >> 20,
                    info.buffer_bytes_max >> 20
                );
                Finding::good("device", text)
            }));
            if found.iter().all(|info| info.kind == DeviceKind::Cpu) {
                let mend = "with a GPU: install its vendor's Vulkan driver, and see that this \
                            user may open /dev/dri/renderD128 (group `render`)";
                let text = "only software devices: correct, and slow";
                findings.push(Finding::bad("gpu", State::Doubtful, Exit::Ok, text, mend));
            }
        }
        Err(error) => findings.push(no_devices(&error)),
    }
    findings.extend(permission());
    findings
}

fn no_devices(error: &VulkanError) -> Finding {
    let mend = match error {
        VulkanError::NoLoader(_) => packages("libvulkan1", "vulkan-loader", "vulkan-icd-loader"),
        VulkanError::NoDriver | VulkanError::NoDevice => packages(
            "mesa-vulkan-drivers (NVIDIA: nvidia-driver)",
            "mesa-vulkan-drivers (NVIDIA: akmod-nvidia)",
            "vulkan-radeon, vulkan-intel, nvidia-utils or vulkan-swrast",
        ),
        _ => "see the system's log; in a container, pass the device and set \
              NVIDIA_DRIVER_CAPABILITIES=graphics,compute,utility"
            .to_owned(),
    };
    Finding::bad("vulkan", State::Broken, Exit::NoDevice, error.to_string(), mend)
}

/// The driver manifests that the Vulkan loader will read.
fn drivers() -> Finding {
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]
        .iter()
        .find_map(|name| std::env::var_os(name).filter(|value| !value.is_empty()));
    let found: Vec<PathBuf> = match &named {
        Some(list) => std::env::split_paths(list).collect(),
        None => ["/usr/share", "/usr/local/share", "/etc"]
            .iter()
            .filter_map(|base| std::fs::read_dir(Path::new(base).join("vulkan/icd.d")).ok())
            .flat_map(|dir| dir.flatten().map(|file| file.path()))
            .collect(),
    };
    let absent: Vec<_> = found.iter().filter(|path| !path.exists()).collect();
    if let Some(path) = absent.first() {
        let text = format!("{} does not exist", path.display());
        let mend = "correct VK_DRIVER_FILES, or unset it";
        return Finding::bad("drivers", State::Broken, Exit::NoDevice, text, mend);
    }
    if found.is_empty() {
        let mend = packages("mesa-vulkan-drivers", "mesa-vulkan-drivers", "vulkan-swrast");
        let text = "no driver manifest under vulkan/icd.d";
        return Finding::bad("drivers", State::Broken, Exit::NoDevice, text, mend);
    }
    let names = found.iter().filter_map(|path| path.file_name()?.to_str());
    Finding::good("drivers", names.collect::<Vec<_>>().join(", "))
}

/// GPU nodes that exist and that this user may not open.
fn permission() -> Vec<Finding> {
    let nodes = std::fs::read_dir("/dev/dri").into_iter().flatten().flatten();
    let closed = nodes.map(|node| node.path()).filter(|path| {
        let render =
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("renderD"));
        render && std::fs::OpenOptions::new().read(true).write(true).open(path).is_err()
    });
    closed
        .map(|path| {
            let text = format!("{} may not be opened by this user", path.display());
            let mend = "sudo usermod -aG render,video $USER, then log in again";
            Finding::bad("permission", State::Doubtful, Exit::NoDevice, text, mend)
        })
        .collect()
}

fn disk(dir: &Path) -> Finding {
    let there = dir.ancestors().find(|path| path.exists()).unwrap_or(dir);
    match rustix::fs::statvfs(there) {
        Ok(about) => {
            let free = about.f_bavail.saturating_mul(about.f_frsize);
            let text = format!("{} GiB free for {}", free >> 30, dir.display());
            match free >= FREE_BYTES_MIN {
                true => Finding::good("disk", text),
                false => {
                    let mend = "free some space, or name another place with --data-dir";
                    Finding::bad("disk", State::Broken, Exit::Error, text, mend)
                }
            }
        }
        Err(error) => {
            let text = format!("{}: {error}", there.display());
            let mend = "name another place with --data-dir";
            Finding::bad("disk", State::Broken, Exit::Error, text, mend)
        }
    }
}

/// TCP and TLS, the farm's clock, the key.
async fn farm(address: &Address) -> Vec<Finding> {
    let begun = Instant::now();
    let keyed = match address.connect().await {
        Ok(keyed) => keyed,
        Err(error) => {
            let mend = "start one here with `girih up`, or name a farm with --server";
            let text = error.to_string();
            return vec![Finding::bad("farm", State::Broken, Exit::Unreachable, text, mend)];
        }
    };
    let text = format!("{} answers in {} ms", address.server, begun.elapsed().as_millis());
    let mut findings = vec![Finding::good("farm", text)];
    findings.extend(clock(&keyed).await);
    if address.key.is_none() {
        let mend = "ask the farm's operator for one, or run `girih up`";
        findings.push(Finding::bad("key", State::Doubtful, Exit::Refused, "no API key", mend));
        return findings;
    }
    let mut client = v1::accounts_client::AccountsClient::new(keyed);
    findings.push(match client.get_account(v1::GetAccountRequest {}).await {
        Ok(account) => {
            let account = account.into_inner();
            Finding::good("key", format!("account {} `{}`", account.account_id, account.name))
        }
        Err(status) => {
            let mend = "check GIRIH_KEY, --key and the configuration file";
            let text = status.message().to_owned();
            Finding::bad("key", State::Broken, Exit::Refused, text, mend)
        }
    });
    findings
}

/// The farm's clock against ours, by the `date` of an answer; silent if it says none.
async fn clock(keyed: &worker::channel::Keyed) -> Option<Finding> {
    let mut client = v1::log_client::LogClient::new(keyed.clone());
    let answer = client.get_checkpoint(v1::GetCheckpointRequest {}).await;
    let metadata = match &answer {
        Ok(answer) => answer.metadata(),
        Err(status) => status.metadata(),
    };
    let theirs = parse_date(metadata.get("date")?.to_str().ok()?)?;
    let ours = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let difference = ours.abs_diff(theirs);
    let text = format!("{} s from the farm's", difference.as_secs());
    Some(match difference <= CLOCK_DIFFERENCE_MAX {
        true => Finding::good("clock", text),
        false => {
            let mend = "sudo timedatectl set-ntp true";
            Finding::bad("clock", State::Doubtful, Exit::Ok, text, mend)
        }
    })
}

/// An HTTP date (RFC 9110 §5.6.7), like `Sun, 06 Nov 1994 08:49:37 GMT`, as time since 1970.
fn parse_date(text: &str) -> Option<Duration> {
    let mut words = text.split_once(", ")?.1.split([' ', ':']);
    let day: i64 = words.next()?.parse().ok()?;
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(words.next()?)? as i64 / 3 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let mut number = || words.next()?.parse::<i64>().ok();
    let (hour, minute, second) = (number()?, number()?, number()?);
    // Days since 1970 in the proleptic Gregorian calendar, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read() {
        let date = |text| parse_date(text).map(|time| time.as_secs());
        assert_eq!(date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(date("Tue, 29 Feb 2000 12:00:00 GMT"), Some(951_825_600));
        assert_eq!(date("yesterday"), None);
    }

    #[test]
    fn a_missing_loader_comes_with_the_line_to_type() {
        let finding = no_devices(&VulkanError::NoLoader("libvulkan.so.1".into()));
        assert_eq!((finding.state, finding.exit), (State::Broken, Exit::NoDevice));
        let line = finding.line();
        for wanted in ["apt-get install libvulkan1", "dnf install vulkan-loader", "pacman -S"] {
            assert!(line.contains(wanted), "{line}");
        }
    }
}
