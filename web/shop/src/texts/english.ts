import common from "@alfa-hub/common/texts/en";

import own from "./en";

/** All English texts in one file, which is fetched for who wants them. */
export default { ...common, ...own };
