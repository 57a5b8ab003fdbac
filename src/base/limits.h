/* limits.h - every maximum of Fournil, each with its reason. A value read from outside is checked
 * against one of these before memory or time is spent on it. */
#ifndef FNL_BASE_LIMITS_H
#define FNL_BASE_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* --- threads -------------------------------------------------------------------------------- */

/* More workers than any one machine has CPUs; a typing error such as --threads 80000 is refused
 * before it exhausts the kernel's thread table. */
#define FNL_MAX_THREADS 1024

/* --- text ----------------------------------------------------------------------------------- */

/* One formatted message or arena string: far above any real message, and small enough that a
 * hostile name cannot make us build megabytes of text. */
#define FNL_MAX_FORMATTED_BYTES (1u << 20)

/* Spelling suggestions compare at most so many bytes of a name: the matrix is quadratic. */
#define FNL_MAX_NAME_COMPARED 64

/* A number in a configuration: the longest exact decimal a float64 needs is under 800 digits, but
 * nobody writes more than this. */
#define FNL_MAX_NUMBER_BYTES 128

/* --- YAML ----------------------------------------------------------------------------------- */

/* A configuration is written by hand; a pipeline file of a large project is under 1 MiB. */
#define FNL_MAX_YAML_BYTES ((size_t)4 << 20)

/* A real configuration is 5 to 8 levels deep. Bounds the recursion of every reader of the tree. */
#define FNL_MAX_YAML_DEPTH 64

/* Nodes (scalars and collections) of one document: bounds time and memory of "[,,,,]" files. */
#define FNL_MAX_YAML_NODES 200000

/* Bytes of one key. libyaml takes a key on one line only up to 1,024 bytes, and an escaped byte is
 * written as 4, so a key of 200 bytes can always be printed again. */
#define FNL_MAX_YAML_KEY_BYTES 200

/* Memory of one tree: nodes, their arrays and texts; about 40 times the largest file's need for
 * text, and enough for the largest count of nodes. */
#define FNL_MAX_YAML_TREE_BYTES ((size_t)160 << 20)

/* --- files ---------------------------------------------------------------------------------- */

/* Attempts to find a free temporary name before giving up: a name is taken only when a process
 * with the same id died while writing. */
#define FNL_MAX_TEMP_TRIES 64

/* --- graphs --------------------------------------------------------------------------------- */

/* Weights and names of one network: far above what trains on one machine's CPU, and below what
 * would make size arithmetic overflow. */
#define FNL_MAX_GRAPH_BYTES ((size_t)1 << 37)

/* Tensors of one graph: the largest public ONNX models have about 100,000. */
#define FNL_MAX_GRAPH_VALUES 1000000

/* Bytes that a block of rows may touch between two steps of a plan: half of the second-level cache
 * of common processors (512 KiB to 2 MiB), so that what one step writes the next finds there. */
#define FNL_BLOCK_BYTES ((size_t)256 << 10)

/* Parts a batch is split into: more than threads is only useful for --deterministic. */
#define FNL_MAX_SHARDS 256

/* --- layer lists ------------------------------------------------------------------------------ */

/* Layers of one `model:`: the deepest published networks have about 1,000; finding a name is
 * linear. */
#define FNL_MAX_LAYERS 4096

/* residual inside residual...: bounds the recursion of the builder. */
#define FNL_MAX_LAYER_NESTING 8

/* Units of a dense layer, filters of a convolution: far above any real one. */
#define FNL_MAX_UNITS (1 << 24)

/* Kernel, stride, dilation and padding of a window: what shape inference accepts. */
#define FNL_MAX_WINDOW 4096

/* Bytes of a layer's name. */
#define FNL_MAX_LAYER_NAME_BYTES 64

/* --- ONNX files ------------------------------------------------------------------------------- */

/* Protocol buffers end at 2 GiB: larger models keep their weights in files of their own. */
#define FNL_MAX_ONNX_BYTES (((size_t)1 << 31) - 1)

/* Messages inside messages. A model without subgraphs needs 7 (model, graph, node, attribute,
 * tensor, entry, ...); bounds the recursion of the decoder. */
#define FNL_MAX_ONNX_DEPTH 16

/* Messages of one file: an empty one takes 2 bytes in the file and up to 250 in memory. The largest
 * public models have about 1,000,000. */
#define FNL_MAX_ONNX_MESSAGES 2000000

/* Fields of one file, all messages together; packed arrays and raw data count as one. */
#define FNL_MAX_ONNX_FIELDS 16000000

/* Inputs, outputs and metadata entries of a model: each is found by a linear search. */
#define FNL_MAX_ONNX_ENTRIES 1024

/* Attributes of one node: ONNX's operators have at most 15; a bit each. */
#define FNL_MAX_ONNX_ATTRIBUTES 64

/* Integers of one list that a file computes from shapes: a shape has at most FNL_MAX_RANK, the pads
 * of one twice as many. */
#define FNL_MAX_ONNX_INTS 32

/* Tables of names made while a file is read. */
#define FNL_MAX_ONNX_TABLE_BYTES ((size_t)1 << 30)

/* --- training --------------------------------------------------------------------------------- */

/* Samples of one step: more only makes steps rarer, and a plan's memory grows with it. */
#define FNL_MAX_BATCH 65536

/* Passes over the data: each leaves a line of metrics and a point of a curve. */
#define FNL_MAX_EPOCHS 100000

/* Strings and tables of one training configuration. */
#define FNL_MAX_TRAIN_CONFIG_BYTES ((size_t)16 << 20)

/* A checkpoint in memory: weights and the optimiser's two slots of the largest network we plan. */
#define FNL_MAX_CHECKPOINT_BYTES ((size_t)1 << 36)

/* Texts of a run folder that are built in memory: summary, curves, metrics of FNL_MAX_EPOCHS. */
#define FNL_MAX_RUN_TEXT_BYTES ((size_t)256 << 20)

/* A confusion matrix of so many classes is written to summary.json (it grows with the square). */
#define FNL_MAX_CONFUSION_CLASSES 1000

/* --- data sets -------------------------------------------------------------------------------- */

/* One file of samples, decompressed. Samples are held in memory, so a file is also never allowed
 * more than the machine's memory; this ends gzip bombs on machines that have much. */
#define FNL_MAX_DATA_FILE_BYTES ((size_t)1 << 37)

/* Samples of one split: a permutation has 32-bit entries, labels are counted in int. */
#define FNL_MAX_SAMPLES 0x7FFFFFFFu

/* Elements of one sample: a 16,384 x 16,384 grey image; keeps size arithmetic of a batch far from
 * overflow. */
#define FNL_MAX_SAMPLE_ELEMENTS ((size_t)1 << 28)

/* Classes: ImageNet-21k has 21,843. The confusion matrix grows with the square. */
#define FNL_MAX_CLASSES 65536

/* Different values of one categorical column: each becomes an input of its own. */
#define FNL_MAX_CATEGORIES 4096

/* Columns of a CSV file; rows of more are not tables any more. */
#define FNL_MAX_CSV_COLUMNS 16384

/* One CSV field: a missing closing quote must not swallow a file of gigabytes in silence. */
#define FNL_MAX_CSV_FIELD_BYTES ((size_t)1 << 20)

/* Names that the data section's own memory may hold: class names, categories, columns. */
#define FNL_MAX_DATA_NAMES_BYTES ((size_t)256 << 20)

/* Header of an NPY file: numpy itself stops at 10,000 unless told otherwise. */
#define FNL_MAX_NPY_HEADER_BYTES ((size_t)64 << 10)

/* Members of an NPZ archive: each is looked at to find one by name. */
#define FNL_MAX_ZIP_MEMBERS 65536

/* Pixels of one decoded image, and bytes of its file: above any camera's, and a decoder's working
 * memory stays under a gigabyte. */
#define FNL_MAX_IMAGE_PIXELS ((size_t)1 << 27)
#define FNL_MAX_IMAGE_SIDE 65535
#define FNL_MAX_IMAGE_FILE_BYTES ((size_t)256 << 20)

/* Batches made ahead: what fits beside a model in memory. */
#define FNL_MAX_PREFETCH 64

/* Pixels added on each side before a random crop. */
#define FNL_MAX_PAD 256

/* --- accelerators ----------------------------------------------------------------------------- */

/* Devices of one driver: the largest machines have 16 GPUs, each at most split in 7. */
#define FNL_MAX_ACCELS 128

/* Commands of one recording: the largest networks have about 100,000 nodes. */
#define FNL_MAX_RECORDED 1000000

/* Recordings a plan keeps, one for each number of rows: a full batch, an epoch's last one, and what
 * a server's changing batches ask for most. */
#define FNL_MAX_RECORDINGS 8

/* One compiled GPU program: ours are under 1 MiB as PTX and a few MiB as a PoCL binary. */
#define FNL_MAX_PROGRAM_BYTES ((size_t)64 << 20)

/* All compiled programs on disk: about 100 versions of all kernels before the oldest go. */
#define FNL_MAX_PROGRAM_CACHE_BYTES ((uint64_t)256 << 20)

/* --- downloads -------------------------------------------------------------------------------- */

/* Redirects followed: public archives use one or two. */
#define FNL_MAX_REDIRECTS 5

/* An archive once decompressed: CIFAR-10's is 184 MB. */
#define FNL_MAX_ARCHIVE_BYTES ((size_t)1 << 30)

/* Tries for one file before giving up: connections drop, and each try goes on where the last ended.
 */
#define FNL_MAX_DOWNLOAD_TRIES 5

#endif
