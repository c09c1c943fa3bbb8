//! The program. Results go to stdout, progress and errors to stderr; the exit code is 0, 1 for a failure, 2 for wrong usage, 130 after Ctrl-C.
// What a caller or a file can influence becomes an `Error`, never a panic.
#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::todo, clippy::unimplemented)]

mod approximation;
mod attend;
mod bench;
mod case_files;
mod check;
mod classify;
mod clips;
mod compare;
mod compare_networks;
mod completions;
mod convert;
mod demo;
mod devices;
#[cfg(test)]
mod documentation;
mod export;
mod features;
mod inspect;
mod interrupt;
mod network;
mod outputs;
mod plot;
mod probe;
mod run;
mod shader;
mod side_by_side;
mod study;
mod terminal;
mod track;
mod trained;
mod tune;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use orthoformer::gpu::{AdapterChoice, Engine, EngineOptions};
use orthoformer::plan::Element;
use orthoformer::{Error, Result};
use orthoformer_cpu::{CpuEngine, CpuOptions, Executor};

use terminal::complain;

/// clap's, without the empty line ahead of the usage: all commands are to fit a screen.
const TEMPLATE: &str = "{about-with-newline}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// Trajectory attention for video on any GPU.
#[derive(Parser)]
#[command(name = "orthoformer", version, disable_version_flag = true, max_term_width = 100, help_template = TEMPLATE)]
struct Cli {
    /// Print the version.
    #[arg(short = 'V', long, action = ArgAction::Version, hide_short_help = true)]
    version: (),
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(subcommand)]
    command: Command,
}

/// Over what every command takes.
const ALL_COMMANDS: &str = "Options of all commands";

#[derive(Args)]
struct AdapterArgs {
    /// Adapter to use: part of its name, or its number in `orthoformer devices` [environment: WGPU_ADAPTER_NAME].
    #[arg(long, global = true, help_heading = ALL_COMMANDS, value_name = "NAME", hide_short_help = true)]
    adapter: Option<String>,
    /// Graphics API to use: vulkan, metal, dx12 or gl [environment: WGPU_BACKEND].
    #[arg(long, global = true, help_heading = ALL_COMMANDS, value_name = "API", hide_short_help = true)]
    backend: Option<String>,
    /// Pretend that the adapter lacks these, to try what happens on lesser hardware: subgroups, f16, timestamps, pipelines, matrices, with
    /// commas between [environment: ORTHOFORMER_WITHOUT].
    #[arg(long, global = true, help_heading = ALL_COMMANDS, value_name = "FEATURES", hide_short_help = true)]
    without: Option<String>,
    /// File with what `orthoformer tune` found [default: in the platform's cache folder].
    #[arg(long, global = true, help_heading = ALL_COMMANDS, value_name = "FILE", hide_short_help = true)]
    cache: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Render a moving ball and follow it, then name a motion.
    ///
    /// Says how far off the track is. Needs nothing else.
    Demo(demo::DemoArgs),
    /// Follow a patch through a clip with trajectory attention.
    ///
    /// Writes an animation, a contact sheet and numbers.
    Track(track::TrackArgs),
    Classify(classify::ClassifyArgs),
    Features(features::FeaturesArgs),
    Probe(probe::ProbeArgs),
    Attend(attend::AttendArgs),
    Inspect(inspect::InspectArgs),
    Convert(convert::ConvertArgs),
    /// Run the operation of a case file, and write its outputs.
    Run(run::RunArgs),
    /// Check the adapter: conformance cases against what is expected.
    ///
    /// Runs cases on the adapter and in the reference.
    Check(check::CheckArgs),
    /// Compare approximations with exact attention, or networks.
    ///
    /// On clips (error, cost, time), in a trained network (its answers), or by counting the cost for long sequences.
    Compare(compare::CompareArgs),
    Bench(bench::BenchArgs),
    Tune(tune::TuneArgs),
    Shader(shader::ShaderArgs),
    /// List the adapters, their limits and what they can do.
    Devices(devices::DevicesArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    Man(completions::ManArgs),
}

/// What numbers are stored as, by its name.
fn element(name: &str) -> std::result::Result<Element, String> {
    let found = Element::ALL.into_iter().find(|element| element.name() == name);
    found.ok_or_else(|| format!("expected one of {}", Element::ALL.map(Element::name).join(", ")))
}

/// Where to run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExecutorArg {
    /// The GPU; the CPU engine where adapters are software, or where there is none.
    Auto,
    /// The GPU, or whatever adapter there is.
    Gpu,
    /// The CPU engine: vector code and threads.
    Cpu,
    /// The CPU reference: plain loops, slow and right.
    Reference,
}

impl ExecutorArg {
    /// Opens the executor, tuned if that was done; a fall-back to the CPU is said on stderr.
    fn open(self, options: &EngineOptions) -> Result<Executor> {
        let executor = self.open_untuned(&tune::with_pipelines(options))?;
        if let Executor::Gpu(engine) = &executor {
            tune::adopt(engine);
        }
        Ok(executor)
    }

    fn open_untuned(self, options: &EngineOptions) -> Result<Executor> {
        match self {
            Self::Gpu => Ok(Executor::Gpu(Box::new(Engine::new(options)?))),
            Self::Cpu => Ok(Executor::Cpu(CpuEngine::new(&CpuOptions::default())?)),
            Self::Reference => Ok(Executor::Reference),
            Self::Auto => {
                let (executor, reason) = Executor::best(options)?;
                if let Some(reason) = reason {
                    complain(&format!("note: {reason}; running on {}", executor.describe()));
                }
                Ok(executor)
            }
        }
    }
}

/// Parses the command line and runs it.
fn main() -> ExitCode {
    name_runtime_folder();
    silence_shielded_panics();
    let cli = Cli::parse();
    let choice = AdapterChoice { backend: cli.adapter.backend, adapter: cli.adapter.adapter, without: cli.adapter.without };
    if let Some(path) = cli.adapter.cache {
        tune::set_cache(path);
    }
    let outcome = match cli.command {
        Command::Devices(args) => devices::main(&args, &choice),
        Command::Run(args) => run::main(&args, choice),
        Command::Check(args) => check::main(&args, choice),
        Command::Compare(args) => compare::main(&args, choice),
        Command::Classify(args) => classify::main(&args, choice),
        Command::Inspect(args) => inspect::main(&args, choice),
        Command::Convert(args) => convert::main(&args),
        Command::Attend(args) => attend::main(&args, choice),
        Command::Features(args) => features::main(&args, choice),
        Command::Probe(args) => probe::main(&args, choice),
        Command::Bench(args) => bench::main(&args, &choice),
        Command::Tune(args) => tune::main(&args, choice),
        Command::Shader(args) => shader::main(&args),
        Command::Track(args) => track::main(&args, choice),
        Command::Demo(args) => demo::main(&args, choice),
        Command::Completions(args) => completions::main(&args, Cli::command()),
        Command::Man(args) => completions::man(&args, Cli::command()),
    };
    match outcome {
        Ok(code) => code,
        Err(error @ Error::Interrupted { .. }) => {
            complain(&error.to_string());
            interrupt::exit_code()
        }
        Err(error) => {
            complain(&clips::told(&format!("error: {error}")));
            ExitCode::FAILURE
        }
    }
}

/// Mesa's Vulkan layer looks for a desktop in the folder that XDG_RUNTIME_DIR names, and complains on stderr where that is no absolute path. A
/// folder that is not there will do, and nobody can have put anything into it.
fn name_runtime_folder() {
    const NOWHERE: &str = "/nonexistent/orthoformer";
    let is_named = std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|folder| std::path::Path::new(&folder).is_absolute());
    if cfg!(target_os = "linux") && !is_named {
        // SAFETY: nothing has been started yet, so no other thread reads the environment.
        #[allow(unsafe_code, reason = "the variable is read by a driver's library, which nothing else can tell")]
        unsafe {
            std::env::set_var("XDG_RUNTIME_DIR", NOWHERE);
        }
    }
}

/// Panics of third-party decoders become errors of our own; their message would only confuse.
fn silence_shielded_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !orthoformer_video::is_shielded() {
            usual(info);
        }
    }));
}
