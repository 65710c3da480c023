//! The images that machines with systemd boot from: the usual one, to which a layer brings all of ours; a stock one, on
//! which user-data installs it; and a baked one, made by `packer/scripts`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use laptop_ec2::Image;
use laptop_ec2::image::{Provisioning, ensure_baked, ensure_rootfs, ensure_stock, settings_layer};

use crate::artifacts::{bundle, run, strip};
use crate::{paths, ui};

/// The AMI of the stock image.
pub(crate) const STOCK: &str = "ami-0da7f1a0da7f1a002";
/// The AMI of the baked image.
pub(crate) const BAKED: &str = "ami-0da7f1a0da7f1a003";

/// Which images a program needs: each takes a minute or two to make, once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// The usual one.
    #[default]
    Usual,
    /// That and the stock one.
    Stock,
    /// These and the baked one.
    Baked,
}

/// Root file systems in the cache.
#[derive(Clone, Debug)]
pub struct Images {
    /// What machines boot from, unless their instance is of one of the others.
    pub(crate) usual: PathBuf,
    stock: Option<PathBuf>,
    baked: Option<PathBuf>,
}

/// Makes what is not in the cache. Needs the network then.
pub(crate) fn prepare(cache: &Path, wanted: Wanted) -> Result<Images> {
    let progress = &mut |line: &str| ui::complain(line);
    let usual = ensure_rootfs(cache, progress)?;
    let stock = if wanted >= Wanted::Stock { Some(ensure_stock(cache, progress)?) } else { None };
    let baked = match &stock {
        Some(stock) if wanted == Wanted::Baked => Some(bake(cache, stock, progress)?),
        _ => None,
    };
    Ok(Images { usual, stock, baked })
}

/// As Packer does it, of the same scripts, with the stand-in for a runner.
fn bake(cache: &Path, stock: &Path, progress: &mut dyn FnMut(&str)) -> Result<PathBuf> {
    let folder = cache.join(format!("baking-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let made = (|| {
        let program = folder.join("dayfly-agent");
        strip(&paths::program("dayfly-agent")?, &program)?;
        let agent = folder.join("agent.tar.gz");
        bundle(&program, &agent)?;
        let runner = folder.join("runner.tar.gz");
        run(Command::new(paths::program("standin-runner")?).args(["pack", "--to"]).arg(&runner))?;
        let with = Provisioning {
            scripts: paths::repository().join("packer/scripts"),
            agent,
            runner: (runner, laptop_runner::VERSION.to_owned()),
            variables: vec![("BASE_IMAGE".to_owned(), STOCK.to_owned())],
        };
        ensure_baked(cache, stock, &with, progress)
    })();
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    made
}

impl Images {
    /// The images beside the usual one, by their AMIs, with layers in `folder`.
    pub(crate) fn others(&self, folder: &Path, endpoint: &str) -> Result<BTreeMap<String, Image>> {
        let mut all = BTreeMap::new();
        if let Some(rootfs) = self.stock.clone() {
            let layer = folder.join("stock");
            // All that it knows comes with user-data.
            settings_layer(&layer, &BTreeMap::new())?;
            all.insert(STOCK.to_owned(), Image { rootfs, layer });
        }
        if let Some(rootfs) = self.baked.clone() {
            let layer = folder.join("baked");
            settings_layer(&layer, &[("AWS_ENDPOINT_URL".to_owned(), endpoint.to_owned())].into())?;
            all.insert(BAKED.to_owned(), Image { rootfs, layer });
        }
        Ok(all)
    }
}
