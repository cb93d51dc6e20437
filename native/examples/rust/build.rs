//! Where libweft is: under WEFT_PREFIX, or where pkg-config says.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=WEFT_PREFIX");
    let directory = match env::var("WEFT_PREFIX") {
        Ok(prefix) => format!("{prefix}/lib"),
        Err(_) => Command::new("pkg-config")
            .args(["--variable=libdir", "weft"])
            .output()
            .ok()
            .filter(|output| output.status.success())
            .and_then(|output| String::from_utf8(output.stdout).ok())
            .expect("set WEFT_PREFIX, or PKG_CONFIG_PATH for weft.pc")
            .trim()
            .to_string(),
    };
    println!("cargo:rustc-link-search=native={directory}");
    println!("cargo:rustc-link-lib=dylib=weft");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{directory}");
}
