BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('v3.2.0.a');
CREATE TABLE slot_ledger (
	id INTEGER NOT NULL, 
	study VARCHAR(128) NOT NULL, 
	slot INTEGER NOT NULL, 
	fence INTEGER NOT NULL, 
	owner VARCHAR(128), 
	gpus FLOAT NOT NULL, 
	from_state VARCHAR(16) NOT NULL, 
	to_state VARCHAR(16) NOT NULL, 
	at FLOAT NOT NULL, 
	lease_end FLOAT, 
	PRIMARY KEY (id)
);
INSERT INTO "slot_ledger" VALUES(1,'quick',0,1,'vm-2280-9adae1',0.0,'waiting','running',1.79571030755499601357e+09,NULL);
INSERT INTO "slot_ledger" VALUES(2,'quick',0,1,'vm-2280-9adae1',0.0,'running','complete',1.79571030775600075724e+09,NULL);
INSERT INTO "slot_ledger" VALUES(3,'quick',1,1,'vm-2280-9adae1',0.0,'waiting','running',1795710307.76799,NULL);
INSERT INTO "slot_ledger" VALUES(4,'quick',1,1,'vm-2280-9adae1',0.0,'running','waiting',1.79571030782399463656e+09,NULL);
INSERT INTO "slot_ledger" VALUES(5,'quick',1,2,'somewhere-7',0.0,'waiting','running',1.79571030783799600594e+09,NULL);
CREATE TABLE slots (
	study VARCHAR(128) NOT NULL, 
	slot INTEGER NOT NULL, 
	parameters TEXT NOT NULL, 
	trial_id INTEGER, 
	state VARCHAR(16) NOT NULL, 
	previous VARCHAR(16), 
	previous_end FLOAT, 
	owner VARCHAR(128), 
	gpus FLOAT NOT NULL, 
	fence INTEGER NOT NULL, 
	lease_end FLOAT, 
	attempts INTEGER NOT NULL, 
	crashes INTEGER NOT NULL, 
	decided_epoch INTEGER, 
	stops BOOLEAN, 
	message TEXT, 
	traceback TEXT, 
	PRIMARY KEY (study, slot)
);
INSERT INTO "slots" VALUES('quick',0,'{}',1,'complete','waiting',NULL,NULL,0.0,1,NULL,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "slots" VALUES('quick',1,'{}',2,'running','waiting',NULL,'somewhere-7',0.0,2,1795710367.83699,0,0,NULL,NULL,NULL,NULL);
INSERT INTO "slots" VALUES('quick',2,'{}',NULL,'waiting',NULL,NULL,NULL,0.0,0,NULL,0,0,NULL,NULL,NULL,NULL);
CREATE TABLE studies (
	study_id INTEGER NOT NULL, 
	study_name VARCHAR(512) NOT NULL, 
	PRIMARY KEY (study_id)
);
INSERT INTO "studies" VALUES(1,'quick');
CREATE TABLE study_directions (
	study_direction_id INTEGER NOT NULL, 
	direction VARCHAR(8) NOT NULL, 
	study_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	PRIMARY KEY (study_direction_id), 
	UNIQUE (study_id, objective), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "study_directions" VALUES(1,'MAXIMIZE',1,0);
CREATE TABLE study_system_attributes (
	study_system_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_system_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE study_user_attributes (
	study_user_attribute_id INTEGER NOT NULL, 
	study_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (study_user_attribute_id), 
	UNIQUE (study_id, "key"), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
CREATE TABLE sweeps (
	study VARCHAR(128) NOT NULL, 
	experiment TEXT NOT NULL, 
	PRIMARY KEY (study)
);
INSERT INTO "sweeps" VALUES('quick','seed: 0
study:
  name: quick
  published: []
  deviations: []
data:
  source: digits
  path: null
  title: null
  imageSize: 32
  validation: 0.15
  limit: null
  limitTest: null
model:
  depths:
  - 1
  - 1
  - 1
  width: 16
  widths: null
  strides:
  - 1
  - 2
  - 2
pruning:
  method: target
  amounts: null
  target: 60000
  importance: l1
  roundTo: 1
budget:
  parameters: 60000
training:
  optimizer: sgd
  lr: 0.1
  momentum: 0.9
  nesterov: true
  weightDecay: 0.0005
  decayNormAndBias: false
  batchSize: 64
  dropout: 0.0
  labelSmoothing: 0.0
  ema: 0.0
  clipNorm: null
  schedule:
    name: cosine
    warmupEpochs: 0.5
    periodEpochs: null
    finalFactor: 0.0
    stepEpochs: 30.0
    gamma: 0.1
    baseFactor: 0.1
    cycleEpochs: 10.0
  augmentation:
    policy: none
    flip: false
    cropPadding: 3
    erasing: 0.0
    mixup: 0.0
    cutmix: 0.0
  precision: auto
searchSpace:
  optimizer:
    choices:
    - sgd
    - adamw
    when: null
  lr:
    low: 0.001
    high: 0.3
    log: true
    step: null
    when: null
  batchSize:
    low: 32.0
    high: 128.0
    log: false
    step: 32.0
    when: null
  dropout:
    low: 0.0
    high: 0.3
    log: false
    step: null
    when: null
sweep:
  trials: 3
  epochs: 2
  objectives:
  - accuracy
  minCompleted: 1
  maxHours: null
  maxGpuHours: null
  sampler:
    name: tpe
    startupTrials: 10
  configurations: []
  earlyStopping:
    name: none
    minEpochs: 1
    reductionFactor: 3
    startupTrials: 5
finalTrain:
  epochs: 15
  seeds: 1
  data: train
  select: last
evaluation:
  flip: false
');
CREATE TABLE trial_heartbeats (
	trial_heartbeat_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	heartbeat DATETIME NOT NULL, 
	PRIMARY KEY (trial_heartbeat_id), 
	UNIQUE (trial_id), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_intermediate_values (
	trial_intermediate_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	step INTEGER NOT NULL, 
	intermediate_value FLOAT, 
	intermediate_value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_intermediate_value_id), 
	UNIQUE (trial_id, step), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_intermediate_values" VALUES(1,1,1,4.85626436079366952114e-01,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(2,1,2,0.653766551652051,'FINITE');
INSERT INTO "trial_intermediate_values" VALUES(3,2,1,4.51850031855154932181e-01,'FINITE');
CREATE TABLE trial_params (
	param_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	param_name VARCHAR(512), 
	param_value FLOAT, 
	distribution_json TEXT, 
	PRIMARY KEY (param_id), 
	UNIQUE (trial_id, param_name), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_params" VALUES(1,1,'optimizer',1.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "adamw"]}}');
INSERT INTO "trial_params" VALUES(2,1,'lr',1.95931708222794832494e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 0.3, "log": true}}');
INSERT INTO "trial_params" VALUES(3,1,'batchSize',64.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 32, "low": 32, "high": 128}}');
INSERT INTO "trial_params" VALUES(4,1,'dropout',0.0591959697938847,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.3, "log": false}}');
INSERT INTO "trial_params" VALUES(5,2,'optimizer',0.0,'{"name": "CategoricalDistribution", "attributes": {"choices": ["sgd", "adamw"]}}');
INSERT INTO "trial_params" VALUES(6,2,'lr',3.30172777323939434929e-03,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 0.3, "log": true}}');
INSERT INTO "trial_params" VALUES(7,2,'batchSize',128.0,'{"name": "IntDistribution", "attributes": {"log": false, "step": 32, "low": 32, "high": 128}}');
INSERT INTO "trial_params" VALUES(8,2,'dropout',2.13123668254072362593e-01,'{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0, "high": 0.3, "log": false}}');
CREATE TABLE trial_system_attributes (
	trial_system_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_system_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_user_attributes (
	trial_user_attribute_id INTEGER NOT NULL, 
	trial_id INTEGER, 
	"key" VARCHAR(512), 
	value_json TEXT, 
	PRIMARY KEY (trial_user_attribute_id), 
	UNIQUE (trial_id, "key"), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
CREATE TABLE trial_values (
	trial_value_id INTEGER NOT NULL, 
	trial_id INTEGER NOT NULL, 
	objective INTEGER NOT NULL, 
	value FLOAT, 
	value_type VARCHAR(7) NOT NULL, 
	PRIMARY KEY (trial_value_id), 
	UNIQUE (trial_id, objective), 
	FOREIGN KEY(trial_id) REFERENCES trials (trial_id)
);
INSERT INTO "trial_values" VALUES(1,1,0,0.653766551652051,'FINITE');
CREATE TABLE trials (
	trial_id INTEGER NOT NULL, 
	number INTEGER, 
	study_id INTEGER, 
	state VARCHAR(8) NOT NULL, 
	datetime_start DATETIME, 
	datetime_complete DATETIME, 
	PRIMARY KEY (trial_id), 
	FOREIGN KEY(study_id) REFERENCES studies (study_id)
);
INSERT INTO "trials" VALUES(1,0,1,'COMPLETE','2026-11-26 16:25:07.580293','2026-11-26 16:25:07.743150');
INSERT INTO "trials" VALUES(2,1,1,'RUNNING','2026-11-26 16:25:07.775007',NULL);
CREATE TABLE version_info (
	version_info_id INTEGER NOT NULL, 
	schema_version INTEGER, 
	library_version VARCHAR(256), 
	PRIMARY KEY (version_info_id), 
	CHECK (version_info_id=1)
);
INSERT INTO "version_info" VALUES(1,12,'5.0.0');
CREATE UNIQUE INDEX ix_studies_study_name ON studies (study_name);
CREATE INDEX ix_trials_study_id ON trials (study_id);
CREATE INDEX slot_ledger_by_study ON slot_ledger (study, slot);
COMMIT;
