import { TextField } from "../../kit/fields";
import { type Options, optionFaults } from "./model";
import css from "./try.module.css";

/** What can be said about a task beside its input. */
export function OptionFields({ value, onChange }: { value: Options; onChange: (value: Options) => void }) {
  const wrong = optionFaults(value);
  const field = (name: keyof Options, label: string, help: string) => (
    <TextField
      label={label}
      help={help}
      fault={wrong[name]}
      type={name === "queue" ? "text" : "number"}
      value={value[name]}
      onChange={(text) => onChange({ ...value, [name]: text })}
    />
  );
  return (
    <details className={css.options}>
      <summary>Priority, delay, time limit, money limit, queue</summary>
      <div className={css.grid}>
        {field("priority", "Priority", "-100 to 100, higher first")}
        {field("delay", "Delay", "Seconds from now")}
        {field("timeout", "Time limit", "Seconds, of an attempt")}
        {field("limit", "Money limit", "Dollars, of the whole task")}
        {field("queue", "Queue", "Another than the worker's")}
      </div>
    </details>
  );
}
