//! Words that must not stand in certain sources. Comments and texts are not looked at.

use super::Fault;
use std::path::Path;

/// In `farm`: what would make it depend on more than its commands.
const BANNED_IN_FARM: [&str; 17] = [
    "HashMap",
    "HashSet",
    "SystemTime",
    "Instant",
    "std::time",
    "std::fs",
    "std::env",
    "std::net",
    "std::io",
    "async",
    "await",
    "Mutex",
    "RwLock",
    "Atomic",
    "unsafe",
    "f32",
    "f64",
];
/// Everywhere: what is unfinished.
const BANNED: [&str; 4] = ["todo!", "unimplemented!", "dbg!", "#[ignore"];
/// Everywhere, comments included.
const BANNED_IN_COMMENTS: [&str; 3] = ["FIXME", "TODO", "XXX"];
/// Where the only `unsafe` may stand.
const UNSAFE_ALLOWED: &str = "worker/src/vulkan";

/// Checks one source.
pub fn check(file: &Path, text: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    let farm = file.starts_with("farm/src");
    // This file has to name the words that it looks for.
    let list = file.starts_with("xtask/src/tidy");
    for (at, line) in text.lines().enumerate() {
        let mut fault = |rule: String| faults.push(Fault::new(file, at + 1, rule));
        let code = code(line);
        if farm {
            for word in BANNED_IN_FARM.iter().filter(|word| has(&code, word)) {
                if !(*word == "unsafe" && line.contains("forbid(unsafe_code)")) {
                    fault(format!("`{word}` has no place in farm"));
                }
            }
        } else if has(&code, "unsafe") && !file.starts_with(UNSAFE_ALLOWED) {
            fault(format!("`unsafe` may stand in {UNSAFE_ALLOWED} only"));
        }
        for word in BANNED.iter().filter(|word| code.contains(*word)) {
            fault(format!("`{word}`: finish it"));
        }
        for word in BANNED_IN_COMMENTS.iter().filter(|word| has(line, word) && !list) {
            fault(format!("`{word}`: do it or leave it"));
        }
    }
    faults
}

/// The line without texts and comments.
fn code(line: &str) -> String {
    let mut code = String::new();
    let mut inside = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if inside => drop(chars.next()),
            '"' => inside = !inside,
            '\'' if !inside && chars.peek() == Some(&'"') => drop(chars.nth(1)),
            '/' if !inside && chars.peek() == Some(&'/') => break,
            _ if !inside => code.push(c),
            _ => {}
        }
    }
    code
}

/// Whether the word stands there by itself.
fn has(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(start, _)| {
        let before = text[..start].chars().next_back().is_some_and(part);
        let after = text[start + word.len()..].chars().next().is_some_and(part);
        !before && (!after || word == "Atomic")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(file: &str, text: &str) -> usize {
        check(Path::new(file), text).len()
    }

    #[test]
    fn every_word_banned_in_the_farm_bites() {
        for word in BANNED_IN_FARM {
            assert_eq!(faults("farm/src/job.rs", &format!("let x = {word};")), 1, "{word}");
        }
        assert_eq!(faults("farm/src/job.rs", "use std::sync::atomic::AtomicU64;"), 1);
        assert_eq!(faults("farm/src/job.rs", "// a HashMap would do\nlet f32s = 1;"), 0);
        assert_eq!(faults("farm/src/lib.rs", "#![forbid(unsafe_code)]"), 0);
        assert_eq!(faults("worker/src/link.rs", "use std::time::Instant;"), 0);
    }

    #[test]
    fn unfinished_work_and_stray_unsafe_bite_everywhere() {
        for word in BANNED.iter().chain(&BANNED_IN_COMMENTS) {
            assert_eq!(faults("cli/src/main.rs", word), 1, "{word}");
        }
        assert_eq!(faults("cli/src/main.rs", "// FIXME later"), 1);
        assert_eq!(faults("cli/src/main.rs", "unsafe { x() }"), 1);
        assert_eq!(faults("worker/src/vulkan/device.rs", "unsafe { x() }"), 0);
        assert_eq!(faults("cli/src/main.rs", "say(\"unsafe todo! // \\\" unsafe\");"), 0);
    }
}
