// Moves node_modules from the folder of the installation to /node_modules, where every file of a
// workspace finds it: node looks in each folder above. Runs once, while an image is built.
const { execFileSync } = require("child_process");
const fs = require("fs");
const path = require("path");

const here = process.cwd();
const modules = path.join(here, "node_modules");
const workspaces = JSON.parse(fs.readFileSync("workspaces.json", "utf8")); // name to folder

function names(folder) {
  if (!fs.existsSync(folder)) return [];
  return fs.readdirSync(folder).flatMap((name) => {
    if (name.startsWith(".")) return [];
    if (!name.startsWith("@")) return [name];
    return fs.readdirSync(path.join(folder, name)).map((inner) => `${name}/${inner}`);
  });
}

function exists(place) {
  return fs.lstatSync(place, { throwIfNoEntry: false }) !== undefined;
}

function link(target, place) {
  fs.mkdirSync(path.dirname(place), { recursive: true });
  fs.rmSync(place, { force: true });
  fs.symlinkSync(target, place);
}

fs.mkdirSync(path.join(modules, ".bin"), { recursive: true });

// A link to a package of the repository leads to where that is in a sandbox.
for (const name of names(modules)) {
  const place = path.join(modules, name);
  if (!fs.lstatSync(place).isSymbolicLink()) continue;
  const target = path.relative(here, path.resolve(path.dirname(place), fs.readlinkSync(place)));
  if (!target.startsWith("..") && !target.startsWith("node_modules")) {
    link(path.join("/workspace", target), place);
  }
}
for (const [name, folder] of Object.entries(workspaces)) {
  const place = path.join(modules, name);
  if (!exists(place)) link(path.join("/workspace", folder), place);
}

// What a package of the repository has for itself can only be kept where all find it.
for (const folder of Object.values(workspaces)) {
  const own = path.join(here, folder, "node_modules");
  for (const name of names(own)) {
    const from = path.join(own, name);
    const to = path.join(modules, name);
    if (fs.lstatSync(from).isSymbolicLink()) continue;
    if (exists(to)) {
      console.log(`${folder} gets the version of ${name} that the other packages use`);
    } else {
      fs.mkdirSync(path.dirname(to), { recursive: true });
      fs.renameSync(from, to);
    }
  }
}

// Programs of all packages, whichever package of the repository asked for them.
for (const name of names(modules)) {
  const file = path.join(modules, name, "package.json");
  if (fs.lstatSync(path.join(modules, name)).isSymbolicLink() || !fs.existsSync(file)) continue;
  const { bin } = JSON.parse(fs.readFileSync(file, "utf8"));
  const programs = typeof bin === "string" ? { [path.basename(name)]: bin } : bin || {};
  for (const [program, script] of Object.entries(programs)) {
    const place = path.join(modules, ".bin", path.basename(program));
    const target = path.join(modules, name, script);
    if (exists(place) || !fs.existsSync(target)) continue;
    fs.chmodSync(target, 0o755);
    link(path.relative(path.dirname(place), target), place);
  }
}

// Vite writes its configuration, compiled, next to the packages: /tmp can be written there.
link("/tmp", path.join(modules, ".vite-temp"));
execFileSync("chmod", ["-R", "a+rX", modules]);
fs.renameSync(modules, "/node_modules");
