//! An order for a release of a tiny checkout.

use std::{process::Command, time::Duration};

use camino::{Utf8Path, Utf8PathBuf};
use xtask::region::Region;
use xtask_ami::{
    ask::{
        scripts::Scripts,
        source::Source,
        spec::{ReleaseSpec, Visibility},
    },
    elf::naming::name_packages,
    event::about::Invocation,
    recipe::Recipe,
};

/// The visibility of a developer's image that these may launch, too.
pub fn private(grantees: &[&str]) -> Visibility {
    let shared_with = grantees.iter().map(|grantee| grantee.parse().expect("a grantee")).collect();
    Visibility::Private { expires: Duration::from_secs(7 * 24 * 60 * 60), shared_with }
}

/// An order for a release of a checkout that is made in `folder`; the binaries lie ready.
pub fn order(folder: &Utf8Path, visibility: Visibility, build_region: &str, regions: Vec<Region>) -> ReleaseSpec {
    let recipe = Utf8Path::new("ami.toml");
    let shipped = include_str!("../../../../.release/ami/ami.toml");
    let mut recipe = Recipe::parse(recipe, shipped).expect("the shipped recipe");
    let facts_folders: Vec<Utf8PathBuf> =
        vec![concat!(env!("CARGO_MANIFEST_DIR"), "/../../.release/ami/systems").into()];
    name_packages(&mut recipe, &facts_folders);
    let root = folder.join("checkout");
    checkout(&root, &recipe);
    let script = |name: &str| {
        let path = root.join(name);
        std::fs::write(&path, format!("echo {name}\n")).expect("a script");
        path
    };
    ReleaseSpec {
        version: "0.6.1".parse().expect("a version"),
        name: "Wallaroo 0.6.1".to_owned(),
        visibility,
        build_region: build_region.parse().expect("a region"),
        regions,
        system_name: recipe.base.system.clone(),
        recipe,
        local: false,
        recipe_path: script("ami.toml"),
        facts_folders,
        profile: None,
        invocation: Invocation::default(),
        scripts: Scripts::found(script),
        source: Source { root, commit: None, commit_secs: None, branch: None, dirty: false, version_file: None },
        skip_build: true,
        reuse_base: false,
        unique: String::new(),
        keep_on_failure: false,
        skip_failed_regions: false,
        promotes: None,
        unblock_public_access: false,
        parameters: None,
    }
}

/// A checkout with the recipe's binaries as they were built: programs that need nothing, each with bytes of its own.
fn checkout(root: &Utf8Path, recipe: &Recipe) {
    std::fs::create_dir_all(root).expect("a folder");
    let (source, program) = (root.join("program.c"), root.join("program"));
    std::fs::write(&source, "void _start(void) { for (;;); }\n").expect("C");
    // Each release hashes them again and again, so they are as small as a linker makes them.
    let small = ["-s", "-Wl,-z,noseparate-code"];
    let flags = ["-static", "-nostdlib", "-o", program.as_str(), source.as_str()];
    let made = Command::new("gcc").args(small).args(flags).status().expect("gcc");
    assert!(made.success());
    let program = std::fs::read(program).expect("a program");
    for binary in &recipe.binaries {
        let path = root.join(&binary.result);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, [program.as_slice(), binary.name.as_bytes()].concat()).expect("a binary");
    }
}
