import { type ReactNode, useMemo } from "react";
import { visible } from "./format";
import { type Block, type Inline, parse } from "./markdown";
import css from "./report.module.css";

function Words({ of }: { of: Inline[] }): ReactNode {
  return of.map((one, at) => {
    const text = visible(one.text);
    const key = `${at} ${text.slice(0, 12)}`;
    if (one.code) return <code key={key}>{text}</code>;
    if (one.bold) return <strong key={key}>{text}</strong>;
    if (one.italic) return <em key={key}>{text}</em>;
    return text;
  });
}

/** Rows of a report have no names of their own: their place stands for them. */
function numbered<T>(all: readonly T[]): { key: string; one: T }[] {
  return all.map((one, at) => ({ key: String(at), one }));
}

function One({ block }: { block: Block }): ReactNode {
  switch (block.kind) {
    case "heading": {
      const Heading = block.level === 1 ? "h2" : block.level === 2 ? "h3" : "h4";
      return (
        <Heading>
          <Words of={block.inline} />
        </Heading>
      );
    }
    case "paragraph":
      return (
        <p dir="auto">
          <Words of={block.inline} />
        </p>
      );
    case "list": {
      const items = numbered(block.items).map(({ key, one }) => (
        <li key={key}>
          <Words of={one} />
        </li>
      ));
      return block.ordered ? <ol>{items}</ol> : <ul>{items}</ul>;
    }
    case "table":
      return (
        <div className={css.wrap} tabIndex={0} role="group" aria-label="Table of the report">
          <table>
            <thead>
              <tr>
                {numbered(block.head).map(({ key, one }) => (
                  <th key={key} scope="col">
                    <Words of={one} />
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {numbered(block.rows).map(({ key, one: row }) => (
                <tr key={key}>
                  {numbered(row).map((cell) => (
                    <td key={cell.key}>
                      <Words of={cell.one} />
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      );
    case "code":
      return <pre tabIndex={0}>{visible(block.text)}</pre>;
    default:
      return <hr />;
  }
}

/** A report in Markdown, read into elements. Links and HTML in it stay text. */
export function Report({ text }: { text: string }) {
  const blocks = useMemo(() => numbered(parse(text)), [text]);
  return (
    <div className={css.report}>
      {blocks.map(({ key, one }) => (
        <One key={key} block={one} />
      ))}
    </div>
  );
}
