//! Who would lose what: the list before the question.

use std::time::{Duration, SystemTime};

use crate::{catalogue::Entry, events::Events, ground::date, record::retirement::Listed};

/// A launch so long ago or less is lately.
const LATELY: Duration = Duration::from_secs(30 * 86_400);

/// Lists images, and those that are gone but for their snapshots; warns where one was launched lately.
pub(super) fn tell(images: &[&Entry], left: &[Listed], name: &str, now: SystemTime, events: &Events) {
    for entry in images {
        events.note(line(entry, name, now));
    }
    for Listed { region, image, snapshots, .. } in left {
        let snapshots = if snapshots.is_empty() { "nothing known".to_owned() } else { snapshots.join(", ") };
        events.note(format_args!(
            "{region}: {image} (listed by an earlier retirement, and gone; left of it: {snapshots})"
        ));
    }
    let lately: Vec<&str> = images.iter().filter(|entry| is_lately(entry, now)).map(|it| it.region.as_str()).collect();
    if !lately.is_empty() {
        events.warn(format_args!(
            "launched in the last 30 days in {}: launch templates and groups that name these images will fail; \
             --deprecate DATE is the gentle way",
            lately.join(", ")
        ));
    }
}

/// The line about an image before it is removed or changed.
pub(super) fn line(entry: &Entry, name: &str, now: SystemTime) -> String {
    let Entry { region, image, .. } = entry;
    let public = if image.public { "public" } else { "private" };
    let other_name = (image.name != name).then(|| format!("named `{}`", image.name));
    let age = date::age(&image.created, now).map(|age| format!("{age} old"));
    let launched = match &image.last_launched {
        Some(at) => {
            let ago = date::age(at, now).map(|ago| format!(", {ago} ago")).unwrap_or_default();
            format!("last launched {}{ago}", date::day(at))
        }
        None => "no launch known".to_owned(),
    };
    let protected = image.protected.then(|| "protected from deregistration".to_owned());
    let remarks = [public.to_owned()].into_iter().chain(age).chain([launched]).chain(other_name);
    let remarks = remarks.chain(image.remarks()).chain(protected);
    format!("{region}: {} ({})", image.id, remarks.collect::<Vec<_>>().join(", "))
}

fn is_lately(entry: &Entry, now: SystemTime) -> bool {
    let launched = entry.image.last_launched.as_deref().and_then(date::moment);
    launched.is_some_and(|at| now.duration_since(at).map_or(true, |ago| ago <= LATELY))
}
