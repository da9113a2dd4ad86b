//! The certificate authorities that servers are trusted by: the computer's, or a bundle that the user names.

use anyhow::{Context as _, Result, ensure};
use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use crate::{
    cloud::ec2::profiles::Profiles,
    ground::{environment::variable, finding::Finding},
};

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";

/// Who is trusted.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The authorities that this computer trusts.
    Computer,
    /// Those of a file, and no others, as in the AWS CLI.
    Bundle {
        /// The file.
        path: String,
        /// The setting that names it.
        by: String,
        /// Its certificates, each in PEM.
        certificates: Vec<String>,
    },
}

impl Trust {
    /// Those that the environment or the profile's `ca_bundle` names, else the computer's.
    ///
    /// # Errors
    /// A [`Finding`] when there is not one certificate that can be used.
    pub fn find(profiles: &Profiles) -> Result<Trust, Finding> {
        let of_variable = |name: &str| variable(name).map(|path| (path, name.to_owned()));
        let bundle = of_variable("AWS_CA_BUNDLE").or_else(|| {
            let path = profiles.get(profiles.selected(), "ca_bundle")?;
            Some((path.to_owned(), format!("ca_bundle of {}", profiles.place(profiles.selected(), "ca_bundle"))))
        });
        // Python's requests, whose variable the AWS CLI takes as well.
        match bundle.or_else(|| of_variable("REQUESTS_CA_BUNDLE")) {
            Some((path, by)) => match certificates(&path) {
                Ok(certificates) => Ok(Trust::Bundle { path, by, certificates }),
                Err(error) => Err(Finding {
                    problem: format!("{by} is {path}, which cannot be used: {error:#}"),
                    remedy: "give a file of certificates in PEM, or remove the setting".to_owned(),
                }),
            },
            None => of_computer(),
        }
    }

    /// What is trusted, for people to read; nothing when it is what the computer trusts.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        match self {
            Trust::Computer => None,
            Trust::Bundle { path, by, .. } => Some(format!("those of {path} ({by})")),
        }
    }

    /// The same for the SDK's TLS; `None` for what it trusts by itself, which is what the computer trusts.
    ///
    /// # Errors
    /// A [`Finding`] when the SDK does not take the certificates. Without it, others would be trusted than those.
    pub(super) fn context(&self) -> Result<Option<TlsContext>, Finding> {
        let Trust::Bundle { path, by, certificates } = self else { return Ok(None) };
        let pems = certificates.iter().map(String::as_bytes);
        let store = pems.fold(TrustStore::empty(), |store, pem| store.with_pem_certificate(pem));
        let context = TlsContext::builder().with_trust_store(store).build().map_err(|error| Finding {
            problem: format!("the certificates of {path} ({by}) cannot be used: {error}"),
            remedy: "give a file of certificates in PEM, or remove the setting".to_owned(),
        })?;
        Ok(Some(context))
    }
}

fn of_computer() -> Result<Trust, Finding> {
    let found = rustls_native_certs::load_native_certs();
    if RootCertStore::empty().add_parsable_certificates(found.certs).0 > 0 {
        return Ok(Trust::Computer);
    }
    let set: Vec<String> = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
        .iter()
        .filter_map(|name| Some(format!("{name}={}", variable(name)?)))
        .collect();
    let looked_in = if set.is_empty() { "/etc/ssl/certs".to_owned() } else { set.join(" and ") };
    Err(Finding {
        problem: format!(
            "this computer has no CA certificates that can be used, so AWS cannot be trusted: {looked_in}"
        ),
        remedy: "install the package ca-certificates, or name a file of certificates with AWS_CA_BUNDLE".to_owned(),
    })
}

/// The certificates of a file that TLS can use. Others are passed over: one old one must not stop the rest.
fn certificates(path: &str) -> Result<Vec<String>> {
    ensure!(!std::path::Path::new(path).is_dir(), "it is a folder");
    let text = std::fs::read(path)?;
    let text = String::from_utf8_lossy(&text);
    let sections = text.split(BEGIN).skip(1).map(|rest| {
        let end = rest.find("-----END CERTIFICATE-----").map_or(rest, |end| &rest[..end]);
        format!("{BEGIN}{end}-----END CERTIFICATE-----\n")
    });
    let is_usable = |pem: &String| {
        CertificateDer::from_pem_slice(pem.as_bytes()).is_ok_and(|it| RootCertStore::empty().add(it).is_ok())
    };
    let usable: Vec<String> = sections.filter(is_usable).collect();
    usable.first().context("it has no certificate in PEM that can be used")?;
    Ok(usable)
}
