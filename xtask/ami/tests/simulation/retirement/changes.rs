//! The ways of retiring that remove nothing: whatever breaks on the way, the same command again brings the version where one
//! run that nothing breaks would have brought it, and touches nothing else.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use tokio::time::sleep;
use xtask::{cli::RetireFlags, region::Region};
use xtask_ami::{event::ids::ImageId, ground::outcome::Failure};

use super::{removal, retire};
use crate::{books::LAG, crash::Crash, images::SimImage, story::Story, weather::Odds};

/// The date of a deprecation: 2027-06-01, within two years of when the images are made.
const AT: Duration = Duration::from_secs(1_811_808_000);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Deprecate,
    Disable,
    Enable,
}

/// Those that undo each other come more often: most goes wrong where one of them follows what is left of the other.
const WAYS: [Way; 5] = [Way::Deprecate, Way::Disable, Way::Disable, Way::Enable, Way::Enable];

/// What a way may change of an image, and what none may.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Standing {
    name: String,
    disabled: bool,
    public: bool,
    deprecated: Option<SystemTime>,
    snapshots_public: bool,
}

/// How things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Scene {
    images: BTreeMap<(Region, ImageId), Standing>,
    parameters: BTreeMap<(Region, String), ImageId>,
}

/// Deprecates, disables and enables the version, in any order. Not each of them is told again when it broke.
pub(super) async fn tell(story: &mut Story, name: &str) {
    let first = Scene::of(story);
    if !first.images.values().any(|image| image.name == name) {
        return;
    }
    for _ in 0..story.random.below(6) {
        let way = story.random.pick(&WAYS);
        let before = Scene::of(story);
        let opening = story.random.pick(&[0, 100, 300]);
        story.set_odds(Odds { opening, ..story.odds });
        for _ in 0..story.random.below(3) {
            let crash = story.random.happens(700).then(|| Crash::soon(&mut story.random));
            retire(story, &way.flags(story), crash).await;
            story.judge_listed();
            sleep(LAG).await;
        }
        if story.random.happens(500) {
            in_calm(story, name, way, &before.after(way, name, &first)).await;
        }
    }
    if story.random.happens(500) {
        let expected = Scene::of(story).after(Way::Enable, name, &first);
        in_calm(story, name, Way::Enable, &expected).await;
    }
}

/// The command once more, when nothing goes wrong.
async fn in_calm(story: &Story, name: &str, way: Way, expected: &Scene) {
    story.set_odds(Odds::default());
    // Where the account blocks public images, the user has lifted that: else they can't become public again.
    story.cloud.books.borrow_mut().blocks.clear();
    if let Some(Err(Failure::Failed(error) | Failure::Refused(error))) = retire(story, &way.flags(story), None).await {
        story.expect(false, 12, &format!("{way:?} fails, and nothing goes wrong: {error:#}"));
    }
    story.judge_listed();
    let now = Scene::of(story);
    let differs = |of_it: bool| {
        let all = now.images.iter().filter(|(_, image)| (image.name == name) == of_it);
        let differs = all.filter(|(key, image)| expected.images.get(key) != Some(image));
        differs.map(|((region, id), image)| format!("{id} in {region}: {image:?}")).collect::<Vec<_>>().join("; ")
    };
    let (of_it, of_others) = (differs(true), differs(false));
    story.expect(of_it.is_empty(), 12, &format!("{way:?} was told again, and is not what one run makes: {of_it}"));
    story.expect(of_others.is_empty(), 5, &format!("{way:?} changes images of other versions: {of_others}"));
    let is_there = |(key, id)| now.parameters.get(key) == Some(id);
    // Those that a release failed to write are written with the others.
    let more = if way == Way::Enable { usize::MAX } else { expected.parameters.len() };
    let holds = expected.parameters.iter().all(is_there) && now.parameters.len() <= more;
    let (wanted, found) = (&expected.parameters, &now.parameters);
    story.expect(holds, 12, &format!("{way:?} was told again, and the parameters are {found:?}, not {wanted:?}"));
    sleep(LAG).await;
}

impl Way {
    fn flags(self, story: &Story) -> RetireFlags {
        RetireFlags {
            deprecate: (self == Way::Deprecate).then_some(SystemTime::UNIX_EPOCH + AT),
            disable: self == Way::Disable,
            enable: self == Way::Enable,
            ..removal(story)
        }
    }
}

impl Scene {
    fn of(story: &Story) -> Scene {
        let books = story.cloud.books.borrow();
        let images = books.images.iter().filter(|(_, image)| !image.gone);
        let images = images.map(|(key, image)| (key.clone(), Standing::of(image))).collect();
        Scene { images, parameters: books.parameters.clone() }
    }

    /// What one run makes of it that nothing breaks; `first` is how things stood before any of them.
    fn after(mut self, way: Way, name: &str, first: &Scene) -> Scene {
        for (key, image) in self.images.iter_mut().filter(|(_, image)| image.name == name) {
            match way {
                Way::Deprecate => image.deprecated = Some(SystemTime::UNIX_EPOCH + AT),
                Way::Disable => (image.disabled, image.public) = (true, false),
                Way::Enable => {
                    image.disabled = false;
                    image.public = first.images.get(key).is_some_and(|first| first.public);
                }
            }
        }
        match way {
            Way::Deprecate => {}
            Way::Disable => {
                let is_of_it = |region: &Region, id: &ImageId| {
                    self.images.get(&(region.clone(), id.clone())).is_some_and(|image| image.name == name)
                };
                self.parameters.retain(|(region, _), id| !is_of_it(region, id));
            }
            Way::Enable => self.parameters.clone_from(&first.parameters),
        }
        self
    }
}

impl Standing {
    fn of(image: &SimImage) -> Standing {
        Standing {
            name: image.new.name.clone(),
            disabled: image.disabled,
            public: image.public,
            deprecated: image.deprecated,
            snapshots_public: image.snapshots_public,
        }
    }
}
