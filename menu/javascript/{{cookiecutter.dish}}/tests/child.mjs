/** A process that predicts one row with a module, or nothing; then it waits to be ended. */
process.on("message", async ({ module, features }) => {
  if (module) await (await import(module)).predictor.predict(features);
  process.send("answered");
});
