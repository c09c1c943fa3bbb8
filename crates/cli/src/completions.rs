//! `orthoformer completions`, and the manual's pages.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;
use orthoformer::{Error, Result};
use orthoformer_video::files::{make_folder, write_whole};

use super::terminal::print_line;

/// Print the completions of a shell.
///
/// Where they belong: for bash in ~/.local/share/bash-completion/completions/orthoformer, for zsh as _orthoformer in a folder of $fpath, for fish in
/// ~/.config/fish/completions/orthoformer.fish.
#[derive(Args)]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn main(args: &CompletionsArgs, mut command: Command) -> Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "orthoformer", &mut script);
    match std::io::stdout().write_all(&script) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::File { action: "write to", path: "stdout".into(), source: error })
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Write the manual's pages, one a command.
#[derive(Args)]
pub(super) struct ManArgs {
    /// The folder for them.
    #[arg(long, value_name = "DIR", default_value = "man")]
    out: PathBuf,
}

pub(super) fn man(args: &ManArgs, mut command: Command) -> Result<ExitCode> {
    make_folder(&args.out)?;
    // Names of commands within others, and options of all, are worked out first; pages leave out what short help does.
    command = command.disable_help_subcommand(true);
    command.build();
    for page in with_commands(&command) {
        let page = page.mut_args(|arg| arg.hide_short_help(false));
        let name = page.get_display_name().unwrap_or(page.get_name()).to_owned();
        let path = args.out.join(format!("{name}.1"));
        let mut text = Vec::new();
        clap_mangen::Man::new(page).render(&mut text).map_err(Error::file("write", &path))?;
        write_whole(&path, &text)?;
        print_line(&format!("wrote {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A command, the commands in it, and those in them, as far as people see them.
pub(super) fn with_commands(command: &Command) -> Vec<Command> {
    let is_seen = |command: &&Command| command.get_name() != "help" && !command.is_hide_set();
    let inner = command.get_subcommands().filter(is_seen).flat_map(with_commands);
    std::iter::once(command.clone()).chain(inner).collect()
}
