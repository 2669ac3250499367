// Makes RFSN.js, the one file that RPG Maker wants: node build.mjs
import { readFileSync, writeFileSync } from "node:fs";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const client = read("../javascript/game.mjs").replace("export class Game", "class Game");
const [, plugin] = read("plugin.js").split("(() => {\n");
const notice = "// Built by build.mjs from header.js, plugin.js and ../javascript/game.mjs: edit those, then run `node build.mjs`.";
writeFileSync(new URL("RFSN.js", import.meta.url), `${notice}\n${read("header.js")}\n(() => {\n${client}\n${plugin}`);
