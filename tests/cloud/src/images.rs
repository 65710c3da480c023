//! The images that machines with systemd boot from: the usual one, to which a layer brings all of ours; a stock one, on
//! which user-data installs it; and those that Packer makes images of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use laptop_ec2::Image;
use laptop_ec2::image::{ensure_base, ensure_rootfs, ensure_stock, files_layer};

use crate::{paths, ui};

/// The AMI of the stock image.
pub(crate) const STOCK: &str = "ami-0da7f1a0da7f1a002";

/// An image of a distribution's own, of which Packer makes one: Debian stands in for each of them.
#[derive(Debug)]
pub(crate) struct Base {
    /// What it is called in `packer/build.pkr.hcl`.
    pub(crate) source: &'static str,
    /// Its AMI.
    pub(crate) id: &'static str,
    /// What its name begins with, the architecture as `{}`.
    pub(crate) name: &'static str,
    /// The account it is of.
    pub(crate) owner: &'static str,
    /// Who logs in on it.
    user: &'static str,
}

/// What Packer makes images of.
pub(crate) const BASES: [Base; 2] = [
    Base {
        source: "al2023",
        id: "ami-0da7f1a0da7f1a004",
        name: "al2023-ami-2023.9.20261109.0-kernel-6.1-{}",
        owner: "amazon",
        user: "ec2-user",
    },
    Base {
        source: "ubuntu-2404",
        id: "ami-0da7f1a0da7f1a005",
        name: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-{}-server-20261109",
        owner: "099720109477",
        user: "ubuntu",
    },
];

/// Which images a program needs: each takes a minute or two to make, once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wanted {
    /// The usual one.
    #[default]
    Usual,
    /// That, the stock one, and what Packer makes images of.
    All,
}

/// Root file systems in the cache.
#[derive(Clone, Debug)]
pub struct Images {
    /// What machines boot from, unless their instance is of one of the others.
    pub(crate) usual: PathBuf,
    stock: Option<PathBuf>,
    base: Option<PathBuf>,
}

/// Makes what is not in the cache. Needs the network then.
pub(crate) fn prepare(cache: &Path, wanted: Wanted) -> Result<Images> {
    let progress = &mut |line: &str| ui::complain(line);
    let usual = ensure_rootfs(cache, progress)?;
    let (mut stock, mut base) = (None, None);
    if wanted == Wanted::All {
        let rootfs = ensure_stock(cache, progress)?;
        base = Some(ensure_base(cache, &rootfs, &paths::repository().join("packer/scripts"), progress)?);
        stock = Some(rootfs);
    }
    Ok(Images { usual, stock, base })
}

impl Images {
    /// The images beside the usual one, by their AMIs, with layers in `folder`.
    pub(crate) fn others(&self, folder: &Path) -> Result<BTreeMap<String, Image>> {
        let mut all = BTreeMap::new();
        if let Some(rootfs) = self.stock.clone() {
            let layer = folder.join("stock");
            // All that it knows comes with user-data.
            files_layer(&layer, &[])?;
            all.insert(STOCK.to_owned(), Image { rootfs, layer });
        }
        for base in &BASES {
            let Some(rootfs) = self.base.clone() else { break };
            let layer = folder.join(base.source);
            base.layer(&layer)?;
            all.insert(base.id.to_owned(), Image { rootfs, layer });
        }
        Ok(all)
    }
}

impl Base {
    /// Writes the layer that makes it of the Debian below.
    fn layer(&self, dir: &Path) -> Result<()> {
        let user = format!("system_info: {{default_user: {{name: {0}, gecos: {0}}}}}\n", self.user);
        // Packer 1.6 signs with SHA-1, which sshd has come to refuse. Current Packers do not.
        let sshd = "PubkeyAcceptedAlgorithms +ssh-rsa\n";
        let files = [
            ("/etc/cloud/cloud.cfg.d/20-laptop-user.cfg", user.as_str()),
            ("/etc/ssh/sshd_config.d/laptop.conf", sshd),
        ];
        files_layer(dir, &files)
    }
}
