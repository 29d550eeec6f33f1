//! How the shared library is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The ABI's version; what a program that was linked with `-lopenbits` asks for.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libopenbits.so.1");
    // Threads of the library may be waiting for the service when a program closes it: it stays where it is.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
