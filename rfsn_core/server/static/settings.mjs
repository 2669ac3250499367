// The settings in effect, with what each means, and the lines that change one.

import { ask, table, tag, unavailable } from "./site.mjs";

export async function showSettings(place, search) {
  let answer;
  try {
    answer = await ask("/api/settings");
  } catch (error) {
    unavailable(place, error);
    return;
  }
  const show = () => {
    const wanted = search.value.toLowerCase();
    const found = answer.settings.filter(({ key, about }) => `${key} ${about}`.toLowerCase().includes(wanted));
    const rows = found.slice(0, 300).map(({ key, value, changed, about }) => [
      tag("code", { className: changed ? "chosen" : "" }, key),
      tag("code", {}, JSON.stringify(value)),
      about,
    ]);
    place.replaceChildren(
      tag("p", { className: "faint" }, `${answer.file ?? "No settings file: all are defaults"}. Those in colour differ from the default. Change the file; a valid change applies from the next turn.`),
      table(["setting", "value", "what it does"], rows),
    );
  };
  search.oninput = show;
  show();
}
