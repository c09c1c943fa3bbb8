//! The command lines of the documentation are ones that the program takes.

use std::path::{Path, PathBuf};

use clap::Parser as _;

use super::Cli;
use super::completions::with_commands;

/// The pages that show command lines.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let in_folder =
        |folder: &str| std::fs::read_dir(root.join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path());
    let pages = in_folder(".").chain(in_folder("docs")).chain(in_folder("docs/design")).chain(in_folder("web"));
    pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The lines of a page's blocks of shell commands.
fn shell_lines(page: &str) -> Vec<&str> {
    let mut is_shell = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(language) => is_shell = language == "sh",
            None if is_shell => lines.push(line),
            None => {}
        }
    }
    lines
}

/// What the program is given, if a line runs it.
fn arguments(line: &str) -> Option<Vec<String>> {
    let words = shlex::split(line).unwrap_or_else(|| panic!("{line}: unbalanced quotes"));
    let own = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["orthoformer", own @ ..] => own.len(),
        ["cargo", "run", "--release", "--", own @ ..] => own.len(),
        _ => return None,
    };
    let own = words[words.len() - own..].iter();
    // What follows belongs to the shell.
    Some(own.take_while(|word| !["|", ">", "&&"].contains(&word.as_str())).cloned().collect())
}

#[test]
fn command_lines_are_taken() {
    let mut count = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).expect("a page").replace("\\\n", "");
        for line in shell_lines(&text) {
            // A pipe may lead into the program.
            for part in line.split(" | ") {
                let Some(arguments) = arguments(part.trim()) else { continue };
                count += 1;
                let parsed = Cli::try_parse_from(std::iter::once("orthoformer".to_owned()).chain(arguments));
                if let Err(error) = parsed {
                    let is_shown =
                        matches!(error.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion);
                    assert!(is_shown, "{}: {line}\n{error}", page.display());
                }
            }
        }
    }
    assert!(count > 20, "only {count} command lines were found");
}

#[test]
fn what_is_no_command_line_is_noticed() {
    let page = "```sh\northoformer clasify a.mp4\n```\n```text\northoformer nonsense\n```";
    assert_eq!(shell_lines(page), ["orthoformer clasify a.mp4"]);
    let arguments = arguments("orthoformer clasify a.mp4").expect("it runs the program");
    assert!(Cli::try_parse_from(std::iter::once("orthoformer".to_owned()).chain(arguments)).is_err());
}

#[test]
fn help_of_every_command_fits_a_screen() {
    use clap::CommandFactory as _;
    let mut command = Cli::command().term_width(80);
    command.build();
    for mut own in with_commands(&command) {
        let text = own.render_help().to_string();
        let lines = text.lines().count();
        assert!(lines <= 24, "`{} -h` takes {lines} lines:\n{text}", own.get_name());
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
