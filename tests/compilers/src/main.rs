//! Compiles kernels on the default Vulkan adapter and writes what its compiler says of each, a line of JSON a shader, to standard output.
//!
//! `cargo xtask compilers` starts it once a GPU, over a driver that has no hardware: nothing runs, every pipeline is compiled.

#[cfg(target_os = "linux")]
mod capture;
#[cfg(target_os = "linux")]
mod loops;
#[cfg(target_os = "linux")]
mod networks;
#[cfg(target_os = "linux")]
mod plans;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod shaders;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match probe::main() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compilers: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    eprintln!("compilers: Mesa's drivers, whose compilers are asked, are for Linux");
    std::process::ExitCode::FAILURE
}
