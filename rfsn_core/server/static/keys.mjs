// The keys: to make, exchange and revoke them.

import { ask, may, table, tag, unavailable, when } from "./site.mjs";

const ROLES = {
  game: "game: play",
  designer: "designer: also inspect",
  operator: "operator: also change",
  admin: "admin: also keys",
};

export async function showKeys(place, made = null) {
  if (!may("admin")) {
    place.replaceChildren(tag("p", { className: "faint" }, "Only a key of the role admin shows and changes keys."));
    return;
  }
  let keys;
  try {
    ({ keys } = await ask("/api/keys"));
  } catch (error) {
    unavailable(place, error);
    return;
  }
  const act = async (path, body, method) => {
    try {
      const answer = await ask(path, body, method);
      if (!keys.length) await ask("/api/session", { key: answer.text }); // from now on this page needs one, too
      await showKeys(place, answer.text ?? null);
    } catch (error) {
      place.append(tag("p", { className: "note", role: "alert" }, error.message));
    }
  };
  const button = (label, path, body, method) => tag("button", { type: "button", className: "quiet", onclick: () => act(path, body, method) }, label);
  const rows = keys.map((key) => [
    key.name, key.role, key.rate ? `${key.rate} a minute` : "any", when(key.expires), when(key.last_use),
    tag("span", { className: "buttons" }, button("exchange", `/api/keys/${key.id}/rotate`, {}, "POST"), button("revoke", `/api/keys/${key.id}`, undefined, "DELETE")),
  ]);
  const name = tag("input", { required: true, maxLength: 100, size: 14, autocomplete: "off" });
  const offered = Object.entries(ROLES).filter(([value]) => keys.length || value === "admin");
  const role = tag("select", {}, ...offered.map(([value, words]) => tag("option", { value }, words)));
  const days = tag("input", { type: "number", min: 0, value: 90, size: 5 });
  const form = tag("form", {}, tag("label", {}, "Name ", name), tag("label", {}, "Role ", role), tag("label", {}, "Days (0: never expires) ", days), tag("button", {}, "Make a key"));
  form.onsubmit = (event) => {
    event.preventDefault();
    act("/api/keys", { name: name.value, role: role.value, days: Number(days.value) });
  };
  place.replaceChildren(
    made ? tag("p", { className: "made", role: "status" }, "The key, shown only now: ", tag("code", {}, made)) : "",
    keys.length ? table(["name", "role", "limit", "expires", "last used", ""], rows) : tag("p", {}, "There are no keys yet, so every program on this machine may do everything. As soon as a key exists, all need one; the first one therefore has the role admin."),
    form,
  );
}
