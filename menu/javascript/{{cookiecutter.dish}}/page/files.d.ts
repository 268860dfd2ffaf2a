// The addresses of files that the bundler puts beside the page.
declare module "*.wasm";
declare module "*.onnx";
