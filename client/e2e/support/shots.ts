// Screenshots: always kept as output of the run; those of the documentation are copied there when somebody asks for it.

import { copyFileSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, type Page } from "@playwright/test";

const OUTPUT = fileURLToPath(new URL("../output/screenshots", import.meta.url));
const DOCS = fileURLToPath(new URL("../../../docs/images", import.meta.url));
/** The repository keeps them for ever. */
const BYTES_MAX = 150_000;

/** `documented`: docs/images has it. */
export async function shoot(page: Page, name: string, documented = false): Promise<void> {
  const path = join(OUTPUT, `${name}.png`);
  await page.screenshot({ path, animations: "disabled", caret: "hide" });
  if (!documented) return;
  expect(statSync(path).size, `${name}.png, bytes`).toBeLessThan(BYTES_MAX);
  if (process.env["COMET_SCREENSHOTS"] === "docs") {
    mkdirSync(DOCS, { recursive: true });
    copyFileSync(path, join(DOCS, `${name}.png`));
  }
}
