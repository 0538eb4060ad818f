import { cutAtNumbers } from "@alfa-hub/common/format";

/** A text. The numbers in it have hyphens, but stay on one line. */
export function Numbers({ text }: { text: string }) {
  return (
    <>
      {cutAtNumbers(text).map((part, index) =>
        index % 2 ? (
          <span key={index} className="nowrap">
            {part}
          </span>
        ) : (
          part
        ),
      )}
    </>
  );
}
