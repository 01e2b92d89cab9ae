//! `/chosen`: command lines, the console, and the modules that the loader has put into memory.
//!
//! Xen's `docs/misc/arm/device-tree/booting.txt`. A module is a node that is compatible with
//! `multiboot,module`; those of a domain to be built at boot are below its `xen,domain` node.

use device_tree::{Children, Node, Region, Tree};

use super::{Error, devices::reg};

/// What a module is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// A kernel.
    Kernel,
    /// An initial RAM disk.
    Ramdisk,
    /// Part of a guest's device tree.
    DeviceTree,
    /// A security policy.
    Policy,
    /// It does not say.
    Unknown,
}

/// A module in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Module<'a> {
    /// What it is for.
    pub kind: ModuleKind,
    /// Where it is.
    pub region: Region,
    /// The command line that comes with it.
    pub bootargs: Option<&'a str>,
}

const MODULE: &[&str] = &["multiboot,module", "xen,multiboot-module"];
const DOMAIN: &[&str] = &["xen,domain"];
const KINDS: [(&str, ModuleKind); 6] = [
    ("xen,linux-zimage", ModuleKind::Kernel),
    ("multiboot,kernel", ModuleKind::Kernel),
    ("xen,linux-initrd", ModuleKind::Ramdisk),
    ("multiboot,ramdisk", ModuleKind::Ramdisk),
    ("multiboot,device-tree", ModuleKind::DeviceTree),
    ("xen,xsm-policy", ModuleKind::Policy),
];

impl<'a> Module<'a> {
    fn read(node: &Node<'a>) -> Result<Self, Error<'a>> {
        let kind = KINDS.into_iter().find(|(name, _)| node.is_compatible(&[name]));
        Ok(Self {
            kind: kind.map_or(ModuleKind::Unknown, |(_, kind)| kind),
            // `/chosen` has no `ranges`, yet these are addresses of memory.
            region: reg(node, 0)?,
            bootargs: node.str("bootargs"),
        })
    }
}

/// The modules directly below a `xen,domain` node.
pub fn modules_of<'a>(node: &Node<'a>) -> impl Iterator<Item = Result<Module<'a>, Error<'a>>> + use<'a> {
    node.children().filter(|child| child.is_compatible(MODULE)).map(|child| Module::read(&child))
}

/// The nodes below `/chosen`, each followed by those below that one.
#[derive(Clone, Debug)]
pub struct Below<'a> {
    own: Children<'a>,
    /// What is left below the last one of those.
    last: Children<'a>,
}

impl<'a> Iterator for Below<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(node) = self.last.next() {
            return Some(node);
        }
        let node = self.own.next()?;
        self.last = node.children();
        Some(node)
    }
}

/// `/chosen`, looked for once: it tends to be the last node of all.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    tree: Tree<'a>,
    node: Option<Node<'a>>,
}

impl<'a> Chosen<'a> {
    /// Looks for it. A tree without it has no modules and no command line.
    pub fn of(tree: &Tree<'a>) -> Self {
        Self { tree: *tree, node: tree.root().child("chosen") }
    }

    /// The nodes of domains that are built at boot.
    pub fn domains(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.children().filter(|node| node.is_compatible(DOMAIN))
    }

    /// The node, if there is one.
    pub fn node(&self) -> Option<Node<'a>> {
        self.node
    }

    /// The nodes below it.
    pub fn children(&self) -> Children<'a> {
        self.node.map(|node| node.children()).unwrap_or_default()
    }

    /// The nodes below it, each followed by those below that one.
    pub fn below(&self) -> Below<'a> {
        Below { own: self.children(), last: Children::default() }
    }

    /// The nodes of modules.
    fn modules(&self) -> impl Iterator<Item = Node<'a>> + use<'a> {
        self.below().filter(|node| node.is_compatible(MODULE))
    }

    /// Every module in memory: dom0's, the other domains', and what `linux,initrd-start` names.
    pub fn all_modules(&self) -> impl Iterator<Item = Result<Module<'a>, Error<'a>>> + use<'a> {
        self.modules().map(|node| Module::read(&node)).chain(self.initrd().map(Ok))
    }

    /// Dom0's module of a kind, the first if there are several. Of those that do not say what they are, the first is
    /// the kernel and the second the RAM disk.
    pub fn dom0_module(&self, kind: ModuleKind) -> Result<Option<Module<'a>>, Error<'a>> {
        let mut guesses = [ModuleKind::Kernel, ModuleKind::Ramdisk].into_iter();
        let of_domain = |node: &Node<'a>| node.parent().is_some_and(|parent| parent.is_compatible(DOMAIN));
        for node in self.modules().filter(|node| !of_domain(node)) {
            let mut module = Module::read(&node)?;
            if module.kind == ModuleKind::Unknown {
                module.kind = guesses.next().unwrap_or(ModuleKind::Unknown);
            }
            if module.kind == kind {
                return Ok(Some(module));
            }
        }
        Ok(self.initrd().filter(|initrd| initrd.kind == kind))
    }

    /// The RAM disk that is no module.
    fn initrd(&self) -> Option<Module<'a>> {
        let address = |name| self.node?.property(name)?.as_u64();
        let base = address("linux,initrd-start")?;
        let size = address("linux,initrd-end")?.checked_sub(base).filter(|size| *size > 0)?;
        Some(Module { kind: ModuleKind::Ramdisk, region: Region { base, size }, bootargs: None })
    }

    /// The hypervisor's own command line. `bootargs` is only ours when dom0's is elsewhere.
    pub fn command_line(&self) -> &'a str {
        let Some(chosen) = self.node else { return "" };
        let dom0_has_its_own = || {
            let kernel = self.dom0_module(ModuleKind::Kernel).ok().flatten();
            let with_kernel = kernel.and_then(|kernel| kernel.bootargs);
            chosen.has("xen,dom0-bootargs") || with_kernel.is_some_and(|args| !args.is_empty())
        };
        chosen
            .str("xen,xen-bootargs")
            .or_else(|| dom0_has_its_own().then(|| chosen.str("bootargs")).flatten())
            .unwrap_or("")
    }

    /// The node of the console: what `dtuart` says, else `stdout-path`. Both are a path or an alias,
    /// with options after a colon.
    pub fn console(&self, dtuart: Option<&str>) -> Option<Node<'a>> {
        let stdout = || {
            let chosen = self.node?;
            chosen.str("stdout-path").or_else(|| chosen.str("linux,stdout-path"))
        };
        let path = dtuart.or_else(stdout)?;
        self.tree.find(path.split(':').next()?)
    }
}
