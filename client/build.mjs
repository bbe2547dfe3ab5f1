// Builds what is committed in dist/: the classic script, the ES module and its type declarations. The same sources give
// the same bytes, so that `--check` can compare a fresh build with the committed one.
//
//   node build.mjs           writes dist/ and prints sizes; fails if the classic script is over its limit
//   node build.mjs --check   writes nothing; fails if dist/ is not what the sources give
//   node build.mjs --squeeze chooses better short names, minutes; build again afterwards
//   node build.mjs --sizes   prints besides how many bytes of the classic script each source takes

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { minify } from "terser";
import { privateNames } from "./build_names.mjs";
import { placeholder, squeeze } from "./build_squeeze.mjs";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "dist");
/** What a page that includes the classic script should have to load at most, bytes after minification and gzip. */
const CLASSIC_GOAL = 12_288;
/** The build fails above this. It may go down to the goal, never up. */
const CLASSIC_LIMIT = 13_312;
const { version } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const LICENCE = `/* comet-client ${version}, MIT OR Apache-2.0 */`;
const SMALL = { minify: true, target: "es2020", charset: "utf8", legalComments: "none" };
/** What is switched off makes the text shorter and what gzip makes of it longer. */
const COMPRESS = { passes: 5, unsafe_methods: true, hoist_funs: true, reduce_funcs: false, inline: 0, if_return: false, conditionals: false };
const SMALLER = { ecma: 2020, module: true, compress: COMPRESS };
/** Chosen by build_squeeze.mjs; what is not in it gets some name. */
const shortNames = JSON.parse(readFileSync(join(here, "build_names.json"), "utf8"));

/** Name of the file -> its bytes. */
const files = new Map();

async function bundle(entry, name, options) {
  const result = await build({
    absWorkingDir: here,
    entryPoints: [`src/${entry}`],
    outfile: `dist/${name}`,
    bundle: true,
    ...SMALL,
    // Plain assignments instead of property definitions; no class of ours redefines what another one defines.
    tsconfigRaw: { compilerOptions: { target: "ES2022", useDefineForClassFields: false } },
    metafile: true,
    write: false,
    logLevel: "warning",
    ...options,
  });
  // What one minifier leaves another one finds.
  for (const file of result.outputFiles) {
    const { code } = await minify(file.text, { ...SMALLER, format: { preamble: LICENCE } });
    files.set(relative(dist, file.path), Buffer.from(`${code}\n`));
  }
  return result;
}

/** Takes the texts of errors out: old pages act on codes, and texts are a good part of what they would have to load. */
const withoutTexts = {
  name: "without-texts",
  setup({ onLoad }) {
    onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, "utf8").replace(/(new CometError\([\w."]+), (?:"[^"\n]*"|`[^`\n]*`)\)/g, "$1)"),
      loader: "ts",
    }));
  },
};

/** Declarations of the entry and of what it mentions; the rest of the sources is nobody's business. */
function declarations() {
  const out = mkdtempSync(join(tmpdir(), "comet-client-"));
  try {
    const tsc = join(here, "node_modules", "typescript", "bin", "tsc");
    const flags = ["--noEmit", "false", "--declaration", "--emitDeclarationOnly", "--rootDir", "src", "--outDir", out];
    execFileSync(process.execPath, [tsc, "-p", join(here, "tsconfig.build.json"), ...flags], { cwd: here, stdio: "inherit" });
    const waiting = ["index.d.ts"];
    for (const name of waiting) {
      const text = readFileSync(join(out, name), "utf8");
      files.set(name === "index.d.ts" ? "comet-client.d.ts" : name, Buffer.from(text));
      for (const [, mentioned] of text.matchAll(/(?:from|import\()\s*"\.\/([\w/]+)\.js"/g)) {
        if (!waiting.includes(`${mentioned}.d.ts`)) waiting.push(`${mentioned}.d.ts`);
      }
    }
  } finally {
    rmSync(out, { recursive: true });
  }
}

function printSizes(name, raw, minified) {
  const gzip = gzipSync(minified, { level: 9 }).length;
  console.log(`${name}: ${raw} B sources, ${minified.length} B minified, ${gzip} B minified and gzipped`);
  return gzip;
}

const sourceBytes = (metafile) => Object.values(metafile.inputs).reduce((sum, { bytes }) => sum + bytes, 0);

/** Finds better short names than `names` and keeps them for the next build. */
async function chooseNames(options, names) {
  const long = Object.keys(names).filter((name) => names[name]).sort();
  const mangleCache = Object.fromEntries(long.map((name, at) => [name, placeholder(at)]));
  await bundle("classic.ts", "CometServerApi.js", { ...options, mangleCache });
  const text = files.get("CometServerApi.js").toString();
  const short = squeeze(text, long.map((name) => names[name]));
  const lines = long.map((name, at) => `  ${JSON.stringify(name)}: ${JSON.stringify(short[at])}`).filter((_, at) => text.includes(placeholder(at)));
  writeFileSync(join(here, "build_names.json"), `{\n${lines.join(",\n")}\n}\n`);
}

/** What differs between the build and dist/. */
function differences() {
  const committed = existsSync(dist) ? readdirSync(dist) : [];
  const names = new Set([...files.keys(), ...committed]);
  return [...names].filter((name) => {
    const path = join(dist, name);
    return !files.has(name) || !existsSync(path) || !readFileSync(path).equals(files.get(name));
  });
}

const sources = Object.keys((await bundle("classic.ts", "CometServerApi.js", { format: "iife" })).metafile.inputs);
const shortening = { format: "iife", mangleProps: privateNames(here, sources), mangleCache: shortNames, plugins: [withoutTexts] };
const { mangleCache } = await bundle("classic.ts", "CometServerApi.js", shortening);
const NAMES = createHash("sha256").update(JSON.stringify(Object.entries(mangleCache).sort())).digest("base64url").slice(0, 4);
const define = { NAMES: JSON.stringify(NAMES) };
if (process.argv.includes("--squeeze")) await chooseNames({ ...shortening, define }, mangleCache);
const { metafile: classic } = await bundle("classic.ts", "CometServerApi.js", { ...shortening, define });
const { metafile: esm } = await bundle("index.ts", "comet-client.js", { format: "esm" });
declarations();

const size = printSizes("CometServerApi.js", sourceBytes(classic), files.get("CometServerApi.js"));
printSizes("comet-client.js", sourceBytes(esm), files.get("comet-client.js"));
if (process.argv.includes("--sizes")) {
  const inputs = Object.entries(classic.outputs["dist/CometServerApi.js"].inputs);
  for (const [name, { bytesInOutput }] of inputs.sort(([, a], [, b]) => b.bytesInOutput - a.bytesInOutput)) {
    console.log(`  ${String(bytesInOutput).padStart(6)} ${name}`);
  }
}

if (process.argv.includes("--check")) {
  const names = differences();
  if (names.length > 0) {
    console.error(`dist/ is not what the sources give: ${names.join(", ")}; run \`npm run build\` and commit`);
    process.exitCode = 1;
  }
} else {
  mkdirSync(dist, { recursive: true });
  for (const name of differences()) if (!files.has(name)) rmSync(join(dist, name), { recursive: true });
  for (const [name, bytes] of files) writeFileSync(join(dist, name), bytes);
}
if (size > CLASSIC_GOAL) console.warn(`CometServerApi.js misses its goal of ${CLASSIC_GOAL} B by ${size - CLASSIC_GOAL} B`);
if (size > CLASSIC_LIMIT) {
  console.error(`CometServerApi.js is ${size - CLASSIC_LIMIT} B over its limit of ${CLASSIC_LIMIT} B`);
  process.exitCode = 1;
}
