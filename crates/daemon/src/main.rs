//! `bitsd`: the background transfer service.

fn main() -> std::process::ExitCode {
    openbits_daemon::main_with_args(std::env::args_os())
}
