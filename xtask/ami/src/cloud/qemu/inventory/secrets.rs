//! Secrets in a text: what a setting's name calls one, and what looks as if it was made at random in base64.
//!
//! Each machine should have its own, or none. Only settings are searched: databases are full of what looks random.

/// The largest text that is searched, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// How the names of settings end that have a secret, in lower case and without hyphens and underscores.
const NAMES: [&str; 10] =
    ["password", "passwd", "passphrase", "secret", "token", "apikey", "secretkey", "privatekey", "accesskey", "psk"];

/// The fewest characters of a password that is told. Switches such as `yes` and `required` are shorter, and placeholders are
/// told apart by their marks.
const MIN_VALUE_CHARS: usize = 10;

/// The fewest characters of what is taken for random, which 128 bits have in base64.
const MIN_RANDOM_CHARS: usize = 22;

/// The fewest characters of one kind that are taken for a word.
const MIN_WORD_CHARS: usize = 5;

/// How many characters of a secret are told, by which its place is found.
const TOLD_CHARS: usize = 4;

/// The secrets in a text, each in words.
#[must_use]
pub fn tells(text: &str) -> Vec<String> {
    if text.len() > MAX_BYTES || text.contains('\0') {
        return Vec::new();
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';']) && !line.starts_with("//"));
    let mut found = Vec::new();
    for line in lines {
        found.extend(line.split(['{', '}', ',']).filter_map(setting));
        // What stands before an equals sign is a name; those after it fill up base64.
        let words = line.split(is_between).filter_map(|word| word.rsplit('=').find(|part| !part.is_empty()));
        found.extend(words.filter(|word| is_random(word)).map(random));
    }
    found
}

/// A setting with a secret, in words.
fn setting(text: &str) -> Option<String> {
    let (name, value) = text.split_once(['=', ':'])?;
    let is_around = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ';');
    let (name, value) = (name.trim_matches(is_around), value.trim_matches(is_around));
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let is_secrets = NAMES.iter().any(|end| plain.ends_with(end));
    let is_placeholder = value.starts_with('/') || value.contains(['$', '%', '<', '*']) || value.contains("...");
    let is_one = value.chars().count() >= MIN_VALUE_CHARS && !value.contains(char::is_whitespace) && !is_placeholder;
    (is_secrets && is_one).then(|| format!("a secret, {name}"))
}

fn is_between(c: char) -> bool {
    !c.is_ascii_alphanumeric() && !matches!(c, '+' | '/' | '=' | '_' | '-')
}

/// Whether a word looks like base64 of something random: of all kinds of characters, which change at every other place. Names
/// change their kind where a word begins.
fn is_random(word: &str) -> bool {
    // Before anything is kept of it: most words are shorter.
    if word.len() < MIN_RANDOM_CHARS {
        return false;
    }
    let kind = |byte: u8| match byte {
        b'A'..=b'Z' => 0_usize,
        b'a'..=b'z' => 1,
        b'0'..=b'9' => 2,
        _ => 3,
    };
    let kinds: Vec<usize> = word.bytes().map(kind).collect();
    let count = |wanted: usize| kinds.iter().filter(|kind| **kind == wanted).count();
    let is_mixed = count(0) >= 3 && count(1) >= 3 && count(2) >= 2 && count(3) <= word.len() / 8;
    // In names and paths there are words.
    let mut parts = kinds.split(|kind| *kind == 3);
    let has_word = parts.any(|part| part.len() >= MIN_WORD_CHARS && changes_in(part) * 5 < part.len() * 2);
    is_mixed && !has_word
}

/// How often the kind of the characters changes.
fn changes_in(kinds: &[usize]) -> usize {
    kinds.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

fn random(word: &str) -> String {
    format!("something random, {}…", word.chars().take(TOLD_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_by_its_name_or_its_looks_and_is_not_told() {
        for (text, words) in [
            ("[client]\ndb_password = correct-horse\n", "a secret, db_password"),
            ("{\"id\": 1, \"authToken\": \"correct-horse-battery\"}", "a secret, authToken"),
            ("export SECRET_KEY='correct-horse'\n", "a secret, export SECRET_KEY"),
            ("wpa-psk: \"correct-horse\"", "a secret, wpa-psk"),
            // A key of BIND, of Erlang, and one that is split in no way.
            ("key \"rndc\" {\n\tsecret \"8Tq3nYxk0Zr5Jv2LwQ7cDg==\";\n};\n", "something random, 8Tq3…"),
            ("cookie=Zr5Jv2LwQ7cDg8Tq3nYxk0+/aB", "something random, Zr5J…"),
            ("x\nnode 3f/Kq9Lm2Zt8Rv1Xb7Nc4PwE6Yd0HsA= y\n", "something random, 3f/K…"),
        ] {
            let found = tells(text);
            assert!(found.iter().any(|tell| tell == words), "{text:?}: {found:?}");
            assert!(found.iter().all(|tell| !tell.contains("horse") && !tell.contains("LwQ7")), "{found:?}");
        }
    }

    #[test]
    fn settings_of_any_machine_have_none() {
        for text in [
            "passwd:         files systemd\nshadow: files\n",
            "lock_passwd: true\nssh_pwauth: false\nPasswordAuthentication no\n",
            "# password = correct-horse\n; token: correct-horse\n// secret: correct-horse\n",
            "password = /etc/agent/password\ntoken: ${TOKEN_OF_AGENT}\nsecret=<your secret here>\npassword=**********\n",
            "Template: passwd/user-password-again\n",
            "BOOT_IMAGE=/boot/vmlinuz-6.12.118+deb13-cloud-amd64 root=PARTUUID=0fc63daf-0001-4000-8000-000000000001",
            "/usr/lib/x86_64-linux-gnu/libGLX_mesa.so.0 LC_IDENTIFICATION=en_US.UTF-8 DEBIAN_FRONTEND2",
            "mozilla/D-TRUST_EV_Root_CA_2_2023.crt\nmozilla/TWCA_CYBER_Root_CA.crt\nmozilla/SSL.com_TLS_RSA_Root_CA_2022.crt\n",
            "mozilla/ACCVRAIZ1.crt\nmozilla/Certum_EC-384_CA.crt\nmozilla/vTrus_ECC_Root_CA.crt, mozilla/HiPKI_Root_CA_-_G1.crt",
            "java.security.egd=NativePRNGNonBlocking AbstractQueuedSynchronizer2 ECDHE-RSA-AES256-GCM-SHA384",
            "d41d8cd98f00b204e9800998ecf8427e 20261129T180904Z-0-2974",
            "",
        ] {
            assert_eq!(tells(text), [""; 0], "{text:?}");
        }
        let large = format!("password = correct-horse\n{}", "x".repeat(MAX_BYTES));
        assert_eq!(tells(&large), [""; 0]);
    }
}
