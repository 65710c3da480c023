//! Which build this is.

use std::io::{self, Write};

/// The commit it was built from, where the build was told (`GIT_COMMIT`).
const COMMIT: Option<&str> = option_env!("GIT_COMMIT");

/// Writes version, target, commit and the version of the documents it reads.
pub fn write(out: &mut dyn Write) -> io::Result<()> {
    let libc = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    writeln!(out, "dayfly-agent  {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "target        {}-{}-{libc}", std::env::consts::ARCH, std::env::consts::OS)?;
    writeln!(out, "commit        {}", COMMIT.unwrap_or("unknown"))?;
    writeln!(out, "contract      {}", dayfly_contract::VERSION)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_build_is_told() {
        let mut out = Vec::new();
        super::write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], format!("dayfly-agent  {}", env!("CARGO_PKG_VERSION")));
        assert!(lines[1].contains("linux") && lines[3] == "contract      1", "{text}");
    }
}
