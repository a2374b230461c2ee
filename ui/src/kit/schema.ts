// JSON Schemas as forms: which control a property gets, and what its text means. Pure.

export type Schema = {
  type?: string | string[];
  title?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  enum?: unknown[];
  const?: unknown;
  default?: unknown;
  items?: Schema | boolean;
  format?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  $ref?: string;
  $defs?: Record<string, Schema>;
  definitions?: Record<string, Schema>;
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  additionalProperties?: boolean | Schema;
};

export type Control = "text" | "area" | "number" | "check" | "choice" | "lines" | "file" | "group" | "json";

const LONG = /^(text|document|message|content|prompt|body|question|input|source|code|notes?|comment|description)$/i;

/** The schema that a `$ref` leads to; one alternative beside null stands for itself. */
export function resolve(schema: Schema, root: Schema): Schema {
  let at = schema;
  for (let step = 0; step < 16; step += 1) {
    if (at.$ref?.startsWith("#/")) {
      const found = at.$ref
        .slice(2)
        .split("/")
        .reduce<unknown>(
          (node, part) =>
            (node as Record<string, unknown> | undefined)?.[part.replaceAll("~1", "/").replaceAll("~0", "~")],
          root,
        );
      if (!found || typeof found !== "object") return {};
      const { $ref: _, ...rest } = at;
      at = { ...(found as Schema), ...rest };
      continue;
    }
    const ways = at.anyOf ?? at.oneOf ?? (at.allOf?.length === 1 ? at.allOf : undefined);
    const real = ways?.filter((one) => one.type !== "null");
    if (real?.length === 1 && real[0]) {
      const { anyOf: _a, oneOf: _o, allOf: _l, ...rest } = at;
      at = { ...real[0], ...rest };
      continue;
    }
    return at;
  }
  return {};
}

function kinds(schema: Schema): string[] {
  const all = Array.isArray(schema.type) ? schema.type : schema.type ? [schema.type] : [];
  return all.filter((kind) => kind !== "null");
}

export function controlOf(name: string, schema: Schema): Control {
  if (schema.enum) return schema.enum.every((one) => typeof one !== "object" || one === null) ? "choice" : "json";
  if (schema.format === "file" || schema.properties?.$file) return "file";
  const [kind, other] = kinds(schema);
  if (other) return "json";
  switch (kind) {
    case "string":
      return (schema.maxLength ?? 1e9) > 200 && (LONG.test(name) || schema.format === "textarea") ? "area" : "text";
    case "integer":
    case "number":
      return "number";
    case "boolean":
      return "check";
    case "array": {
      const item = typeof schema.items === "object" ? kinds(schema.items)[0] : undefined;
      return item === "string" ? "lines" : "json";
    }
    case "object":
      return schema.properties && Object.keys(schema.properties).length > 0 ? "group" : "json";
    default:
      return schema.properties ? "group" : "json";
  }
}

/** The first value of a form: defaults, and nothing for what has none. */
export function initial(schema: Schema, root: Schema = schema): Record<string, unknown> {
  const value: Record<string, unknown> = {};
  for (const [name, raw] of Object.entries(schema.properties ?? {})) {
    const property = resolve(raw, root);
    const control = controlOf(name, property);
    if (property.default !== undefined && control !== "file") value[name] = property.default;
    else if (control === "group" && schema.required?.includes(name)) value[name] = initial(property, root);
    else if (control === "choice" && schema.required?.includes(name)) value[name] = property.enum?.[0];
  }
  return value;
}

/** What is wrong with a value, by path; the server has the last word. */
export function faults(schema: Schema, value: unknown, root: Schema = schema, at = ""): Record<string, string> {
  const found: Record<string, string> = {};
  const fields = (value ?? {}) as Record<string, unknown>;
  for (const [name, raw] of Object.entries(schema.properties ?? {})) {
    const property = resolve(raw, root);
    const path = at ? `${at}.${name}` : name;
    const one = fields[name];
    const missing = one === undefined || one === "";
    if (missing && schema.required?.includes(name) && property.default === undefined) {
      found[path] = "This is needed.";
      continue;
    }
    if (missing) continue;
    const control = controlOf(name, property);
    if (control === "number" && (typeof one !== "number" || Number.isNaN(one))) found[path] = "This is not a number.";
    else if (typeof one === "number") {
      if (kinds(property)[0] === "integer" && !Number.isInteger(one)) found[path] = "This is not a whole number.";
      if (property.minimum !== undefined && one < property.minimum)
        found[path] = `This is less than ${property.minimum}.`;
      if (property.maximum !== undefined && one > property.maximum)
        found[path] = `This is more than ${property.maximum}.`;
    } else if (typeof one === "string" && property.minLength && one.length < property.minLength) {
      found[path] = `This needs ${property.minLength} characters or more.`;
    } else if (control === "group") Object.assign(found, faults(property, one, root, path));
  }
  return found;
}

/** The name of a property for people: `max_sentences` becomes `Max sentences`. */
export function titleOf(name: string, schema: Schema): string {
  if (schema.title) return schema.title;
  const words = name.replaceAll(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
