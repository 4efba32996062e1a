//! `argiope ca`: certificates and the cookie of a cluster, without other tools.

use super::Output;
use crate::cluster::authority::{self, Pair, Validity};
use crate::errors::{CliError, Result};
use argiope_actors::support::now;
use argiope_protocol::{ErrorCode, NodeName};
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Days that an authority is in force: its nodes' certificates are made anew far more often.
const AUTHORITY_DAYS: u32 = 3_650;

/// Arguments of `ca`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make the cluster's authority (ca.pem, ca-key.pem) and its cookie.
    Init {
        /// Where the files are put.
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
    },
    /// Make the certificate of one node (NAME.pem, NAME-key.pem).
    Issue {
        /// The node's name: its `node.name`.
        name: String,
        /// Where the authority's files are and the node's are put.
        #[arg(long, value_name = "DIR", default_value = ".")]
        dir: PathBuf,
        /// A further name or address in the certificate, e.g. for `http.tls_cert_file`.
        #[arg(long, value_name = "HOST")]
        host: Vec<String>,
        /// Days that it is in force.
        #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
}

/// Writes the files and says what to configure.
pub(crate) fn run(arguments: &Arguments, output: Output) -> Result<u8> {
    match &arguments.what {
        What::Init { dir } => init(dir, output),
        What::Issue { name, dir, host, days } => issue(name, dir, host, *days, output),
    }?;
    Ok(0)
}

/// A file to be written: its path, its text, and whether only its owner may read it.
type NewFile = (PathBuf, String, bool);

fn init(dir: &Path, output: Output) -> Result<()> {
    let Pair { certificate, key } = authority::make(Validity::days(now(), AUTHORITY_DAYS))?;
    let cookie: [u8; 32] = rand::random();
    let cookie: String = cookie.iter().map(|byte| format!("{byte:02x}")).collect();
    let [ca, ca_key, cookie_file] = ["ca.pem", "ca-key.pem", "cookie"].map(|name| dir.join(name));
    std::fs::create_dir_all(dir).map_err(|error| CliError::file("create", dir, &error))?;
    write_new(&[
        (ca.clone(), certificate, false),
        (ca_key.clone(), key, true),
        (cookie_file.clone(), cookie + "\n", true),
    ])?;
    output.text(format!(
        "made {}, {} and {}\nkeep {} off the nodes: who has it can make nodes\nnext: argiope ca issue NAME --dir {}",
        ca.display(),
        ca_key.display(),
        cookie_file.display(),
        ca_key.display(),
        dir.display(),
    ));
    output.object(&serde_json::json!({
        "event": "authority", "ca_file": ca, "ca_key_file": ca_key, "cookie_file": cookie_file,
    }));
    Ok(())
}

fn issue(name: &str, dir: &Path, hosts: &[String], days: u32, output: Output) -> Result<()> {
    let name = NodeName::try_new(name).map_err(|error| CliError::new(ErrorCode::Usage, error.to_string()))?;
    if name.as_str() == "ca" {
        return Err(CliError::new(
            ErrorCode::Usage,
            "a node cannot be named ca here: its files would be the authority's",
        ));
    }
    let read = |file: &str| {
        let path = dir.join(file);
        std::fs::read_to_string(&path).map_err(|error| {
            CliError::file("read", &path, &error).advise(format!("`argiope ca init --dir {}` makes it", dir.display()))
        })
    };
    let (authority, authority_key) = (read("ca.pem")?, read("ca-key.pem")?);
    let pair = authority::issue(&authority_key, &name, hosts, Validity::days(now(), days))?;
    authority::check(&authority, &pair)?;
    let (certificate, key) = (dir.join(format!("{name}.pem")), dir.join(format!("{name}-key.pem")));
    write_new(&[(certificate.clone(), pair.certificate, false), (key.clone(), pair.key, true)])?;

    let [ca, certificate, key, cookie] = [dir.join("ca.pem"), certificate, key, dir.join("cookie")]
        .map(|path| std::path::absolute(&path).unwrap_or(path).display().to_string());
    output.text(format!(
        "made {certificate} and {key}, in force for {days} days\n\
         copy them, {ca} and {cookie} to the node, and set there (cluster.toml):\n\n\
         [node]\nname = \"{name}\"\n\n[cluster]\nca_file = \"{ca}\"\ncert_file = \"{certificate}\"\n\
         key_file = \"{key}\"\ncookie = \"file:{cookie}\""
    ));
    output.object(&serde_json::json!({
        "event": "certificate", "name": name.as_str(), "ca_file": ca, "cert_file": certificate, "key_file": key,
        "cookie": format!("file:{cookie}"), "days": days,
    }));
    Ok(())
}

/// Writes all files or none of them; what exists is never overwritten.
fn write_new(files: &[NewFile]) -> Result<()> {
    if let Some((path, ..)) = files.iter().find(|(path, ..)| path.exists()) {
        let exists = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(CliError::file("make", path, &exists).advise(
            "nothing was changed: a key that nodes use must not be lost; move the file away or give another --dir",
        ));
    }
    for (path, text, is_secret) in files {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, if *is_secret { 0o600 } else { 0o644 });
        let written = options.open(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|error| CliError::file("write", path, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::link::TlsMaterial;

    fn quiet() -> Output {
        Output::new(true)
    }

    #[test]
    fn what_it_makes_is_what_the_link_takes() {
        let dir = tempfile::tempdir().unwrap();
        let path = |file: &str| dir.path().join(file);
        init(dir.path(), quiet()).unwrap();
        issue("node_a", dir.path(), &["a.example".to_owned(), "10.0.0.1".to_owned()], 30, quiet()).unwrap();
        let material = TlsMaterial::load(&path("ca.pem"), &path("node_a.pem"), &path("node_a-key.pem")).unwrap();
        assert_eq!(material.fingerprint().len(), 64);
        assert!(std::fs::read_to_string(path("cookie")).unwrap().trim().len() >= 32);
        #[cfg(unix)]
        for file in ["ca-key.pem", "node_a-key.pem", "cookie"] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(path(file).metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path(), quiet()).unwrap();
        let key = std::fs::read(dir.path().join("ca-key.pem")).unwrap();
        let error = init(dir.path(), quiet()).unwrap_err();
        assert_eq!(error.code, ErrorCode::File);
        assert!(error.next.contains("nothing was changed"), "{error:?}");
        assert_eq!(std::fs::read(dir.path().join("ca-key.pem")).unwrap(), key);

        issue("a", dir.path(), &[], 1, quiet()).unwrap();
        assert_eq!(issue("a", dir.path(), &[], 1, quiet()).unwrap_err().code, ErrorCode::File);
    }

    #[test]
    fn a_certificate_needs_a_name_and_the_right_authority() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(issue("a", dir.path(), &[], 1, quiet()).unwrap_err().code, ErrorCode::File);
        init(dir.path(), quiet()).unwrap();
        assert_eq!(issue("Not A Name", dir.path(), &[], 1, quiet()).unwrap_err().code, ErrorCode::Usage);
        assert_eq!(issue("ca", dir.path(), &[], 1, quiet()).unwrap_err().code, ErrorCode::Usage);

        init(other.path(), quiet()).unwrap();
        std::fs::copy(other.path().join("ca.pem"), dir.path().join("ca.pem")).unwrap();
        assert_eq!(issue("a", dir.path(), &[], 1, quiet()).unwrap_err().code, ErrorCode::LinkCertificate);
    }
}
