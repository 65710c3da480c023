//! What names an image.

use std::collections::BTreeSet;

use super::{Image, Use, Uses};
use crate::fleets::{self, Fleets, Pattern};

/// The ids of images in a text: a parameter's value may be one, a list of them, or a document.
pub fn images_in(text: &str) -> impl Iterator<Item = String> {
    // A longer one than any id is none; that it is named all the same does no harm.
    text.match_indices("ami-").filter_map(|(at, prefix)| {
        let digits: String = text[at + prefix.len()..].chars().take_while(char::is_ascii_hexdigit).collect();
        (digits.len() >= 8).then(|| format!("{prefix}{}", digits.to_ascii_lowercase()))
    })
}

/// The parameter that a launch template names in place of an image, with its version or label if it has one.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/using-systems-manager-parameter-to-find-AMI.html>
#[must_use]
pub fn parameter_of(image: &str) -> Option<&str> {
    image.strip_prefix("resolve:ssm:")
}

/// Adds the images that the fleets document names, and answers with the parameters that it names.
///
/// Of a name with wildcards it means the newest image; whatever is the newest of `images` by such a name stays, whoever owns
/// it. One that a job may ask for by `steering` stays as well.
pub fn of_fleets(fleets: &Fleets, images: &[Image], uses: &mut Uses) -> BTreeSet<String> {
    let mut parameters = BTreeSet::new();
    for fleet in &fleets.fleets {
        let mut names = |id: &str| {
            uses.entry(id.to_owned()).or_default().insert(Use::Fleet(fleet.name.clone()));
        };
        match &fleet.launch.image {
            None => {}
            Some(fleets::Image::Id(id)) => names(id),
            Some(fleets::Image::Parameter(name)) => {
                parameters.insert(name.clone());
            }
            Some(fleets::Image::Newest { name, .. }) => {
                let pattern = Pattern::new(name);
                let newest = images.iter().filter(|it| pattern.matches(&it.name)).max_by_key(|it| it.created_at);
                if let Some(newest) = newest {
                    names(&newest.id);
                }
            }
        }
        for image in images.iter().filter(|it| fleet.steering.images.iter().any(|pattern| pattern.matches(&it.id))) {
            names(&image.id);
        }
    }
    parameters
}
