"""The names that other frameworks use for keys, options and values. Only the hint "did you mean" uses them."""

from collections.abc import Mapping

_MEANT: dict[str, str] = {
    "optimizer.lr": "learning_rate learningrate learn_rate rate eta eta0 lr0 base_lr init_lr initial_lr step_size "
    "learning_rate_init",
    "optimizer.weight_decay": "wd decay weightdecay",
    "optimizer.momentum": "mom",
    "optimizer.beta1": "betas beta_1 b1",
    "optimizer.beta2": "beta_2 b2",
    "optimizer.eps": "adam_epsilon",
    "optimizer.max_iter": "max_iterations",
    "trainer.batch_size": "bs batchsize batch batch_sz minibatch mini_batch minibatch_size train_batch_size "
    "per_device_train_batch_size",
    "trainer.epochs": "num_epochs n_epochs max_epochs nb_epoch nb_epochs num_train_epochs train_epochs total_epochs",
    "trainer.device": "gpu cuda gpus accelerator use_cuda use_gpu cpu",
    "trainer.threads": "workers num_workers n_workers n_jobs num_threads n_threads cpus cores",
    "trainer.precision": "dtype amp fp16 bf16 float16 half mixed_precision float64 double",
    "trainer.patience": "early_stopping early_stop earlystopping es_patience stop_after n_iter_no_change",
    "trainer.log_every": "log_interval log_every_n_steps log_steps logging_steps print_every",
    "trainer.progress": "verbose progress_bar tqdm quiet",
    "trainer.checkpoint_epochs": "save_every save_steps checkpoint_every save_freq",
    "model.width": "hidden_size hidden_dim hidden_units hidden_features hidden_width n_hidden num_hidden units neurons "
    "n_units num_units nodes dim",
    "model.hidden": "hidden_layers hidden_layer_sizes hidden_sizes hidden_dims layer_sizes sizes widths architecture",
    "model.layers": "num_layers n_layers nlayers layer depth num_hidden_layers n_hidden_layers",
    "model.activation": "act act_fn activation_fn activation_function nonlinearity non_linearity nonlin",
    "model.dropout": "dropout_rate dropout_prob dropout_p drop p drop_rate p_dropout",
    "model.norm": "batch_norm batchnorm bn layer_norm layernorm ln normalization normalisation use_bn",
    "model.init": "initialization initializer weight_init kernel_initializer init_method",
    "model.bias": "use_bias intercept fit_intercept",
    "loss.label_smoothing": "smoothing label_smooth",
    "regularizer.strength": "reg lambda lam l2 l1 penalty regularization regularisation reg_strength l2_reg "
    "l1_reg l2_lambda l1_lambda weight_penalty",
    "regularizer.l1_ratio": "mix mixing",
    "scheduler.warmup": "warmup_steps warmup_epochs warmup_ratio warm_up",
    "scheduler.gamma": "lr_gamma factor decay_rate",
    "dataset.root": "path data data_dir data_path datadir data_root dir directory folder file filename csv_file csv "
    "input_file train_file",
    "dataset.targets": "target label labels target_column label_column",
    "dataset.inputs": "columns cols feature_columns input_columns feature_names",
    "dataset.delimiter": "sep separator",
    "dataset.classes": "num_classes n_classes nclasses",
    "dataset.noise": "std sigma noise_std noise_level",
    "dataset.points_per_class": "n_samples num_samples samples n_points num_points",
    "dataset.val_fraction": "val_split validation_split validation_fraction val_size val_ratio val_frac valid_fraction",
    "dataset.test_fraction": "test_split test_size test_ratio test_frac",
    "dataset.limit": "max_samples max_examples subset num_examples",
    "dataset.flip": "hflip random_flip horizontal_flip augment augmentation",
    "dataset.crop": "random_crop padding",
    "dataset.image_size": "img_size resize input_size",
    "features.standardize": "standardise scale scaling normalize normalise scaler zscore",
    "optimizer": "optim opt solver algorithm",
    "scheduler": "lr_scheduler schedule sched lr_schedule",
    "loss": "criterion loss_fn loss_function objective cost",
    "model": "net network arch nn",
    "dataset": "ds",
    "features": "feature extractor transform preprocessing",
    "regularizer": "regularizers regulariser",
    "seed": "random_state random_seed rng rng_seed manual_seed torch_seed",
    "resume": "resume_from resume_from_checkpoint ckpt ckpt_path checkpoint_path load load_from restore",
    "hydra.run.dir": "name run_name exp_name experiment_name output output_dir outdir out_dir save_dir log_dir logdir "
    "directory",
}
KEYS: Mapping[str, tuple[str, ...]] = {
    synonym: tuple(key for key, others in _MEANT.items() if synonym in others.split())
    for words in _MEANT.values()
    for synonym in words.split()
}
"""Name in other frameworks → the keys here that may be meant."""

OPTIONS: Mapping[str, Mapping[str, str]] = {
    "model": {
        "perceptron": "mlp", "multilayer_perceptron": "mlp", "nn": "mlp", "net": "mlp", "network": "mlp",
        "neural_network": "mlp", "dnn": "mlp", "fc": "mlp", "dense": "mlp", "fully_connected": "mlp",
        "feedforward": "mlp", "logistic": "linear", "logistic_regression": "linear", "softmax": "linear",
        "svm": "linear", "linear_regression": "linear", "regression": "linear", "cnn": "", "resnet": "",
        "transformer": "", "conv": "",
    },
    "loss": {
        "mse": "squared_error", "l2": "squared_error", "mean_squared_error": "squared_error", "rmse": "squared_error",
        "ce": "cross_entropy", "nll": "cross_entropy", "xent": "cross_entropy", "softmax": "cross_entropy",
        "log_loss": "cross_entropy", "logistic": "cross_entropy", "bce": "cross_entropy", "svm": "hinge",
        "multi_margin": "hinge", "mae": "", "l1": "",
        "focal_loss": "focal", "smooth_l1": "huber",
    },
    "scheduler": {
        "none": "constant", "off": "constant", "fixed": "constant", "multistep": "step", "step_lr": "step",
        "multi_step": "step", "cosine_annealing": "cosine", "exp": "exponential", "reduce_on_plateau": "plateau",
        "reduce_lr_on_plateau": "plateau", "reducelronplateau": "plateau", "onecycle": "one_cycle", "warmup": "",
        "linear": "",
    },
    "optimizer": {
        "adam_w": "adamw", "momentum": "sgd", "gd": "sgd", "gradient_descent": "sgd", "nesterov": "sgd",
        "bfgs": "lbfgs", "quasi_newton": "lbfgs", "lion": "", "muon": "", "lamb": "",
    },
    "regularizer": {
        "ridge": "l2", "weight_decay": "l2", "tikhonov": "l2", "lasso": "l1", "elasticnet": "elastic_net",
        "l1_l2": "elastic_net", "off": "none",
    },
    "dataset": {
        "spiral": "spirals", "two_moons": "moons", "make_moons": "moons", "rings": "circles", "make_circles": "circles",
        "blobs": "gaussians", "make_blobs": "gaussians", "folder": "image_folder", "imagefolder": "image_folder",
        "images": "image_folder", "pictures": "image_folder", "table": "csv", "tsv": "csv", "tabular": "csv",
        "cifar": "cifar10", "cifar_10": "cifar10", "cifar100": "", "mnist": "", "fashion_mnist": "", "imagenet": "",
        "iris": "", "svhn": "",
    },
    "features": {
        "none": "raw", "identity": "raw", "bow": "bag_of_words", "fisher": "fisher_vector", "fv": "fisher_vector",
        "hist": "color_histogram", "colour_histogram": "color_histogram", "zca": "whiten", "whitening": "whiten",
    },
}  # fmt: skip
"""Group → name in other frameworks → the option here; an empty text if there is no such option here."""

_ACTIVATIONS = {
    "swish": "silu", "none": "identity", "linear": "identity", "logistic": "sigmoid", "rectifier": "relu",
    "leakyrelu": "leaky_relu", "lrelu": "leaky_relu", "softplus": "", "selu": "",
}  # fmt: skip
VALUES: Mapping[str, Mapping[str, str]] = {
    "model.activation": _ACTIVATIONS,
    "model.output_activation": _ACTIVATIONS,
    "model.norm": {"batch_norm": "batch", "batchnorm": "batch", "bn": "batch", "layer_norm": "layer",
                   "layernorm": "layer", "ln": "layer"},
    "trainer.device": {"gpu": "cuda"},
    "trainer.precision": {"float": "float32", "fp32": "float32", "32": "float32", "double": "float64",
                          "fp64": "float64",
                          "64": "float64", "bfloat16": "bf16", "amp": "bf16", "mixed": "bf16"},
    "trainer.batch_size": {"all": "full", "max": "full"},
    "features.standardize": {"true": "feature", "false": "none"},
}  # fmt: skip
"""Key → name in other frameworks → the value here; an empty text if there is no such value here."""
