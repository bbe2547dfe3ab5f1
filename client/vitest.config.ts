// How the unit tests run: in Node, in virtual time, never on a browser or a network.

import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    environment: "node",
  },
});
